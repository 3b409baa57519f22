"""A Redis for the tests of what may lie in one, and patience with it."""

from collections.abc import Iterator

import pytest
from redis import Redis

from bentos.web import remote
from tests.web.redis_server import redis_server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["process", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Where things are kept: the address of an empty Redis, or nothing for the process."""
    if request.param == "process":
        return ""
    found: str = request.getfixturevalue("redis")
    with Redis.from_url(found) as client:
        client.flushall()
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services give Redis a quarter of a second, which is little on a busy machine."""
    monkeypatch.setattr(remote, "TIMEOUT_SECONDS", 60.0)
