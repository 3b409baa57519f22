"""Releases that live in memory, a slot for them, and an observer that keeps what it hears."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import get_ident

import numpy as np
from numpy.typing import NDArray

from bentos.registry.client import Version
from bentos.serving.observer import Erred
from bentos.serving.release import Contract, Release
from bentos.serving.slot import Slot
from bentos.settings import Channel, LimitSettings
from bentos.web.observing import Metrics

INLINE, THREADED = 0.0, 1.0  # seconds a row takes, as the warm-up measured: which path it goes


def doubled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows * 2


def release(
    version: str = "1",
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]] = doubled,
    row_seconds: float = INLINE,
    name: str = "small",
) -> Release:
    return Release(Version(name, version), predict, "native", row_seconds, 0.1)


@dataclass
class Tally(Metrics):
    """Keeps the rows, the release and the thread of each batch."""

    rows: list[int] = field(default_factory=list)
    queues: list[int] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def erred(self, release: Release, what: Erred) -> None:
        self.errors.append(what)

    def queued(self, release: Release, rows: int) -> None:
        self.queues.append(rows)

    def batched(self, release: Release, rows: int, seconds: float) -> None:
        self.rows.append(rows)
        self.releases.append(release)
        self.threads.append(get_ident())


def numbers_slot() -> Slot[float, float]:
    """An empty slot that answers numbers with what its release makes of them."""

    def run(release: Release, rows: Sequence[float]) -> list[float]:
        answers: list[float] = release.predict(np.array(rows)).tolist()
        return answers

    numbers = Contract({"x": "double"}, {"twice": "double"})
    return Slot("small", numbers, run, Channel(alias="champion"), LimitSettings(), Tally())
