"""The shared stack with two versions to tell apart, and one more service beside it."""

from collections.abc import Callable, Iterator

import pytest

from bentos.registry.client import Registry
from tests.e2e.detour import Detour
from tests.e2e.service import Service, report, serves
from tests.e2e.versions import Versions, made
from tests.stack import Stack, wait_for

Tell = Callable[[str], None]


@pytest.fixture(scope="package")
def trained(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versions]:
    """Other tests get back the version that they had."""
    registry = Registry(stack.mlflow)
    before = str(report(f"{stack.api}/contugas")["serves"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", stack.mlflow)
        versions = made(registry, before, tmp_path_factory.mktemp("versions"))
    yield versions
    versions.promote(before)
    wait_for(lambda: serves(f"{stack.api}/contugas", before), 180)
    registry.http.close()


@pytest.fixture
def versions(stack: Stack, trained: Versions) -> Versions:
    """The stack serves the old version."""
    trained.promote(trained.old)
    wait_for(lambda: serves(f"{stack.api}/contugas", trained.old), 180)
    return trained


@pytest.fixture(scope="package")
def detour(stack: Stack) -> Iterator[Detour]:
    """The way from the service beside the stack to MLflow."""
    detour = Detour(stack.mlflow)
    yield detour
    detour.shut()


@pytest.fixture(scope="package")
def started(
    trained: Versions, detour: Detour, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    trained.point("steady", trained.old)
    service = Service(tmp_path_factory.mktemp("service") / "home", detour.url)
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()


@pytest.fixture
def service(started: Service, trained: Versions) -> Service:
    """The service beside the stack: it follows the alias steady, here the old version."""
    trained.point("steady", trained.old)
    wait_for(lambda: serves(started.url, trained.old), 180)
    return started


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Show a figure in the output of the tests."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", end="")

    return tell
