"""A small service: adds two numbers with whatever release is in its slot."""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.serving.release import Contract, Release
from bentos.serving.slot import Slot
from bentos.settings import Channel, LimitSettings, Settings
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import Answer, Endpoint
from bentos.web.following import Following
from bentos.web.hot import Hot
from bentos.web.observing import Metrics
from tests.memory import INLINE, THREADED, release

LIMITS = LimitSettings(body_bytes=10_000, rows_per_call=100, batch_rows=50, queue_rows=100)
Matrix = NDArray[np.float64]


class Point(msgspec.Struct, forbid_unknown_fields=True):
    x: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
    y: Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]


class Sum(msgspec.Struct):
    total: float


def add(release: Release, points: Sequence[Point]) -> list[Sum]:
    totals = release.predict(np.array([(point.x, point.y) for point in points]))
    return [Sum(total) for total in totals.tolist()]


def total(rows: Matrix) -> Matrix:
    summed: Matrix = rows.sum(axis=1)
    return summed


class Gated:
    """A model that waits, as soon as it has begun, until it may go on."""

    def __init__(self) -> None:
        self.begun = Event()
        self.go_on = Event()

    def __call__(self, rows: Matrix) -> Matrix:
        self.begun.set()
        assert self.go_on.wait(60)
        return total(rows)


def small_slot(
    predict: Callable[[Matrix], Matrix] | None = total,
    version: str = "1",
    limits: LimitSettings = LIMITS,
    row_seconds: float = INLINE,
    name: str = "adder",
) -> Slot[Point, Sum]:
    """A slot; empty without `predict`."""
    contract = Contract({"x": "double", "y": "double"}, {"total": "double"})
    slot = Slot(name, contract, add, Channel(stage="Production"), limits, Metrics())
    if predict:
        slot.swap(release(version, predict, row_seconds, name))
    return slot


def gated_slot(gated: Gated, limits: LimitSettings = LIMITS) -> Slot[Point, Sum]:
    return small_slot(gated, limits=limits, row_seconds=THREADED)


def small_app(
    slot: Slot[Point, Sum],
    timeout: float = 60,
    endpoints: Sequence[Endpoint] = (),
    settings: Settings | None = None,
) -> App:
    hot = Hot("small", "/add", slot, Point, timeout)
    add = Endpoint("POST", hot.path, hot, "Add", {200: Answer("The sum")}, body=Point)
    gate = Gate(settings or Settings())
    return App("small", [add, *endpoints], Following([slot]), gate)
