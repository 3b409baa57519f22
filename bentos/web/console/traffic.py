"""Hands what this process counted to the ring that all processes of the machine share."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from sqlite3 import Error as RingError
from typing import Any, Protocol

from bentos.loop import Loop
from bentos.serving.slot import Slot
from bentos.web.console.counts import Counts
from bentos.web.console.ring import Ring
from bentos.web.metrics import BATCH_ROWS, BATCH_SECONDS, REQUEST_SECONDS, REQUESTS

log = logging.getLogger(__name__)

FILE = "traffic.db"
SECONDS = 5.0  # between two times of handing over; a process that is killed loses as much
Route = tuple[str, str]  # service and route, as the metrics have them


class Counted(Protocol):
    """A service as its traffic is counted."""

    name: str

    @property
    def slots(self) -> list[Slot[Any, Any]]:
        """What it serves."""
        ...

    def routes(self, slot: Slot[Any, Any]) -> Iterable[Route]:
        """Where a model alone is asked; none where a route is shared by several."""
        ...


def key(service: str, model: str) -> str:
    """What a model's traffic is kept as."""
    return f"{service}/{model}"


def trial_key(service: str, slot: Slot[Any, Any]) -> str:
    """What the trial of a slot's challenger is kept as; nothing without one."""
    tried = slot.trial.slot.live if slot.trial else None
    return f"{key(service, slot.name)} challenger {tried.version.version}" if tried else ""


class Traffic:
    """Of the services of this process, from `start` to `stop`."""

    def __init__(self, home: Path, services: Iterable[Counted]) -> None:
        self._path = home / FILE
        self._services = list(services)
        self._ring: Ring | None = None
        self._last: dict[str, Counts] = {}
        self._until = int(time.monotonic())
        self._loop = Loop(
            "the traffic",
            self.hand_over,
            lambda failures: SECONDS * (1 + min(failures, 10)),
            (RingError, OSError),
            "calls go on, and the console does not show them",
            end=self.hand_over,
        )

    def start(self) -> None:
        """Begin to count."""
        self._loop.start()

    def stop(self) -> None:
        """Hand over what is left."""
        self._loop.stop(SECONDS)

    def read(self) -> Ring:
        """The ring. Raises sqlite3.Error or OSError."""
        if self._ring is None:
            self._ring = Ring(self._path)
        return self._ring

    def hand_over(self) -> None:
        """Add what was counted since the last time. Raises sqlite3.Error or OSError."""
        ring, until = self.read(), int(time.monotonic())
        by_route = _by_route()
        counted: dict[str, Counts] = {}
        now: dict[str, Counts] = {}
        for service in self._services:
            for slot in service.slots:
                name = key(service.name, slot.name)
                now[name] = _counts(slot, service.routes(slot), by_route)
                added = now[name].minus(self._last.get(name, Counts()))
                if not any(route in by_route for route in service.routes(slot)):
                    added.calls, added.errors = _recorded(slot, self._until, until)
                if added:
                    counted[name] = added
                for name, now[name] in _tried(service.name, slot).items():
                    if added := now[name].minus(self._last.get(name, Counts())):
                        counted[name] = added
        if counted:
            ring.add(time.time(), counted)
        self._last, self._until = now, until


def _by_route() -> Mapping[Route, Counts]:
    """The calls of each route by their outcome."""
    found: defaultdict[Route, Counts] = defaultdict(Counts)
    for (service, route, status), (count,) in REQUESTS.values.copy().items():
        counts = found[service, route]
        counts.calls += count
        counts.errors += count * status.startswith("5")
        counts.turned_away += count * status.startswith("4")
    return found


def _counts(
    slot: Slot[Any, Any], routes: Iterable[Route], by_route: Mapping[Route, Counts]
) -> Counts:
    """All that this process counted of a model; times are a batch's where it has no route."""
    result = Counts()
    for route in routes:
        if route in by_route:
            result = result.plus(by_route[route])
            result = result.plus(Counts(times=_times(REQUEST_SECONDS.values.get(route))))
    if not result.calls:
        result.times = _times(BATCH_SECONDS.values.get((slot.name,)))
    *batches, rows = BATCH_ROWS.values.get((slot.name,), [0.0])
    result.rows, result.batches = rows, sum(batches)
    return result


def _tried(service: str, slot: Slot[Any, Any]) -> dict[str, Counts]:
    """The calls that a challenger was tried with: all, its errors, and those that differed."""
    if slot.trial is None or slot.trial.slot.live is None:
        return {}
    said = slot.trial.report()
    calls, differed = said["compared"] + said["answered"], said["compared"] - said["agreed"]
    return {trial_key(service, slot): Counts(calls, said["errors"], differed)}


def _times(values: list[float] | None) -> list[float]:
    return values[:-1] if values else Counts().times


def _recorded(slot: Slot[Any, Any], since: int, until: int) -> tuple[int, int]:
    """Calls and failures of whole seconds, as the releases remember them."""
    calls = failed = 0
    for release in filter(None, (slot.live, slot.previous)):
        for second in release.record.seconds():
            if since <= second.at < until:
                calls, failed = calls + second.calls, failed + second.failed
    return calls, failed
