"""What these tests share: above all one S3 server, and one MLflow server that stores in it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bentos.admission.cache import Artifacts
from bentos.admission.office import Office
from bentos.registry.client import Registry
from bentos.settings import CacheSettings, Channel
from tests.memory import Tally
from tests.postgres import postgres
from tests.serving.gate import Gate, gated
from tests.serving.servers import Server, Store, reading, storing, tracking
from tests.serving.service import PRODUCTION, Open, Service, serving
from tests.serving.versions import Shelf


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with storing(tmp_path_factory.mktemp("s3") / "s3") as (store, _):
        yield store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[Server]:
    with tracking(tmp_path_factory.mktemp("mlflow"), store) as server:
        yield server


@pytest.fixture(scope="session")
def gate() -> Iterator[tuple[Gate, str]]:
    """The way to a database, and its address by that way."""
    with postgres() as server, gated(f"http://127.0.0.1:{server.port}") as gate:
        port = gate.url.rpartition(":")[2]
        password = quote(server.password, safe="")
        yield gate, f"postgresql://mlflow:{password}@127.0.0.1:{port}/mlflow"


@pytest.fixture
def registry(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with reading(server.url) as registry:
        yield registry


@pytest.fixture
def shelf(registry: Registry, store: Store, request: pytest.FixtureRequest) -> Shelf:
    """A model of this test's own name, still without versions."""
    return Shelf(registry, store, re.sub(r"\W+", "-", request.node.name))


@pytest.fixture
def open_service(shelf: Shelf, server: Server, tmp_path: Path) -> Iterator[Open]:
    """Services that share one ASCENSO_HOME, unless they are given one of their own."""
    with ExitStack() as stack:

        def opened(
            channel: Channel = PRODUCTION,
            uri: str = server.url,
            home: str = "home",
            model: str = shelf.name,
            office: Office | None = None,
            **sections: dict[str, Any],
        ) -> Service:
            place = tmp_path / home
            return stack.enter_context(serving(model, place, uri, channel, office, **sections))

        yield opened


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "cache", CacheSettings())


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.keras_files import dense  # seconds, which most of these tests need not pay

    path = tmp_path_factory.mktemp("keras") / "model.keras"
    dense().save(path)
    return path


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    """A Keras file that may be changed."""
    path = tmp_path / "model.keras"
    path.write_bytes(written.read_bytes())
    return path
