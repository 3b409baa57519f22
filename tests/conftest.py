"""What all tests share."""

import signal
from collections.abc import Iterator

import pytest

from tests.stack import Stack, running


def pytest_configure() -> None:
    """Let a terminated run stop its servers, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real stack, as `make up` starts it, with the first version of each model serving."""
    with running(tmp_path_factory.mktemp("stack") / "home") as stack:
        yield stack
