"""One slot and its watcher in this process, as a service has them, and a client that calls."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from bentos.admission.judging import judge
from bentos.admission.office import Office
from bentos.admission.verdict import Case, Verdict
from bentos.promotion.watcher import Watcher
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import Channel, Settings
from bentos.web.observing import Metrics
from tests.serving.versions import CONTRACT
from tests.stack import wait_for

PRODUCTION = Channel(stage="Production")
QUICK = {"poll_seconds": 0.1, "max_backoff_seconds": 0.5, "timeout_seconds": 60.0}


def settings(home: Path, uri: str, **sections: dict[str, Any]) -> Settings:
    """The settings of the repository, in a hurry; `sections` overrule."""
    given: dict[str, Any] = {
        "home": home,
        "MLFLOW_TRACKING_URI": uri,
        "registry": QUICK,
        "admission": {"compile": False},
    }
    for name, section in sections.items():
        given[name] = given.get(name, {}) | section
    return Settings(**given)


def run(release: Release, rows: Sequence[float]) -> list[float]:
    answers: list[float] = release.predict(np.array(rows)[:, None]).tolist()
    return answers


class Here(Office):
    """Judges in this process, which has imported all that it takes; for tests of other things."""

    def prepare(self) -> None:
        pass

    def judge(self, case: Case) -> Verdict:
        return judge(case)


class Service:
    """Follows one model. Without `start` it looks only on `look`."""

    def __init__(
        self,
        name: str,
        home: Path,
        uri: str,
        channel: Channel = PRODUCTION,
        office: Office | None = None,
        **sections: dict[str, Any],
    ) -> None:
        self.settings = settings(home, uri, **sections)
        self.slot = Slot(name, CONTRACT, run, channel, self.settings.limits, Metrics())
        self.watcher = Watcher([self.slot], self.settings, Metrics(), office=office or Here())
        self._started = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self) -> None:
        self._started = True
        self.watcher.start()

    def look(self) -> None:
        """Look now, and wait for what comes of it; unlike `/reload` it respects refusals."""
        self.bring()
        self.watcher.notes.flush()

    def bring(self) -> None:
        """Look now, and tell the registry nothing."""
        self.watcher.look()
        for running in self.watcher._admissions._running.values():
            running.result(60)

    def ask(self, x: float = 2.0) -> tuple[float, str]:
        """The answer to a row, and the version that gave it."""
        call = asyncio.run_coroutine_threadsafe(self.slot.predict([x]), self._loop)
        answered = call.result(60)
        return round(float(answered.answers[0]), 6), answered.release.version.version

    @contextmanager
    def asked(self) -> Iterator[list[tuple[float, str]]]:
        """Ask again and again, as clients do; what they got, in order, once there is something."""
        heard: list[tuple[float, str]] = []
        enough = Event()

        def asking() -> None:
            while not enough.wait(0.05):
                heard.append(self.ask())

        thread = Thread(target=asking)
        thread.start()
        try:
            wait_for(lambda: heard or not thread.is_alive(), 60)
            yield heard
        finally:
            enough.set()
            thread.join()

    @property
    def live(self) -> str | None:
        return self.slot.live.version.version if self.slot.live else None

    @property
    def cached(self) -> list[str]:
        """The versions on disk, without what their admissions left."""
        folders = (self.settings.home / "cache").glob("*/[0-9]*")
        return sorted(path.name for path in folders if not path.suffix)

    def history(self) -> list[tuple[str, str]]:
        """What the ledger tells, oldest first."""
        return [(e.what, e.version) for e in self.watcher.ledger.history(self.slot.name)]

    def close(self) -> None:
        if self._started:
            self.watcher.stop()
        self.watcher._admissions._threads.shutdown()  # what serves is on disk then
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.watcher.registry.http.close()
        self.watcher.drifts._counted.clear()  # called leaks at the end of the process


@contextmanager
def serving(
    name: str,
    home: Path,
    uri: str,
    channel: Channel = PRODUCTION,
    office: Office | None = None,
    **sections: dict[str, Any],
) -> Iterator[Service]:
    """A service that is not started yet."""
    service = Service(name, home, uri, channel, office, **sections)
    try:
        yield service
    finally:
        service.close()


Open = Callable[..., Service]
