"""A hook that a real MLflow calls."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette

from bentos.promotion.watcher import Watcher
from bentos.registry.webhooks import PATH, Webhooks
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import Channel, LimitSettings, RegistrySettings, settings
from bentos.web.endpoint import routes
from bentos.web.hooks import Deliveries, endpoint
from bentos.web.observing import Metrics
from tests.serving.servers import Server, Store, reading, storing, tracking
from tests.serving.service import Here
from tests.serving.versions import CONTRACT, Shelf
from tests.stack import wait_for
from tests.web.hooked import SECRET
from tests.web.serving import serving

POLL_SECONDS = 3600.0


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Store]]:
    """An MLflow server with the variables that `make up` gives it, and its store."""
    key = b64encode(b"a Fernet key has exactly 32 byte").decode()
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", key)
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    with storing(tmp_path / "s3") as (store, _), tracking(tmp_path, store) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        yield server, store


def small_slot() -> Slot[float, float]:
    def run(release: Release, rows: object) -> list[float]:
        answers: list[float] = release.predict(np.array(rows).reshape(-1, 1)).tolist()
        return answers

    champion = Channel(alias="champion")
    return Slot("small", CONTRACT, run, champion, LimitSettings(), Metrics())


@pytest.fixture
def shelf(mlflow: tuple[Server, Store]) -> Iterator[Shelf]:
    server, store = mlflow
    with reading(server.url) as registry:
        yield Shelf(registry, store, "small")


@pytest.fixture
def watcher(mlflow: tuple[Server, Store], tmp_path: Path) -> Iterator[Watcher]:
    """It has looked once, found nothing, and will not look again in the time of a test."""
    changes = {
        "home": tmp_path / "home",
        "mlflow_tracking_uri": mlflow[0].url,
        "registry": RegistrySettings(poll_seconds=POLL_SECONDS, timeout_seconds=60),
    }
    given = settings().model_copy(update=changes)
    watcher = Watcher([small_slot()], given, Metrics(), office=Here())
    watcher.start()
    try:
        wait_for(lambda: watcher.looked_at, 60)
        yield watcher
    finally:
        watcher.stop()
        watcher.registry.http.close()


def until(slot: Slot[float, float], version: str) -> None:
    wait_for(lambda: slot.live and slot.live.version.version == version, 60)


def test_a_moved_alias_swaps_long_before_the_next_poll(
    mlflow: tuple[Server, Store], shelf: Shelf, watcher: Watcher
) -> None:
    server, _ = mlflow
    first, second, third = (shelf.add(slope) for slope in (1.0, 2.0, 3.0))
    slot = watcher.followed.followers[0].slot
    with serving(Starlette(routes=routes([endpoint(lambda: watcher, Deliveries(SECRET))]))) as url:
        webhooks = Webhooks(shelf.registry)
        installed = webhooks.install(url + PATH, SECRET)
        assert slot.live is None

        shelf.registry.set_alias("small", first.version, "champion")
        until(slot, first.version)

        wait_for(lambda: shelf.version(first.version).tag("serving.state") == "live", 60)
        shelf.registry.set_alias("small", second.version, "champion")
        until(slot, second.version)

        server.kill()
        server.start()
        assert webhooks.test(installed).success  # the secret outlives a restart
        shelf.registry.set_alias("small", third.version, "champion")
        until(slot, third.version)
