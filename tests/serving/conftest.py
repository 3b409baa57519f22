"""One S3 server, and one MLflow server that keeps its artifacts there, for all of these tests."""

import re
from collections.abc import Iterator

import pytest

from bentos.serving.registry import Registry
from tests.serving.servers import Server, Store, reading, storing, tracking
from tests.serving.versions import Shelf


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with storing(tmp_path_factory.mktemp("s3") / "s3") as (store, _):
        yield store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Store) -> Iterator[Server]:
    with tracking(tmp_path_factory.mktemp("mlflow"), store) as server:
        yield server


@pytest.fixture
def registry(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with reading(server.url) as registry:
        yield registry


@pytest.fixture
def shelf(registry: Registry, store: Store, request: pytest.FixtureRequest) -> Shelf:
    """A model of this test's own name, still without versions."""
    return Shelf(registry, store, re.sub(r"\W+", "-", request.node.name))
