"""What all tests share."""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, running

# Whoever imports a guarded service needs a key.
os.environ.setdefault("ASCENSO_SECURITY__SECRET", secrets.token_hex(32))


def pytest_configure() -> None:
    """Let a terminated run stop its servers, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share servers in one of xdist's processes."""
    for item in items:
        shared = "stack" in getattr(item, "fixturenames", ())
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        item.add_marker(pytest.mark.xdist_group("stack" if shared else folder))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real stack, as `make up` starts it, with the first version of each model serving."""
    with running(tmp_path_factory.mktemp("stack") / "home") as stack:
        yield stack
