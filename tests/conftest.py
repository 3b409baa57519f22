"""What all tests share."""

from collections.abc import Iterator

import pytest

from tests.stack import Stack, running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real stack, as `make up` starts it, with the first version of each model serving."""
    with running(tmp_path_factory.mktemp("stack") / "home") as stack:
        yield stack
