"""Champion and challenger: a second channel of a slot, tried on real calls.

shadow: the challenger sees a share of the calls, its answers are compared and never returned.
canary: the challenger answers a share of the calls; where it fails, the champion answers.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from typing import Any, Generic

import msgspec
import numpy as np

from bentos.serving.batching import QueueFull
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.waiting import Answer, Answered, Row
from bentos.settings import ChallengerSettings, Channel

CLOSE = 0.01  # relative: floats this near count as the same answer


class Counts(msgspec.Struct):
    """What the trial of one challenger version has shown, in this process."""

    compared: int = 0
    agreed: int = 0
    champion_seconds: float = 0.0
    challenger_seconds: float = 0.0
    answered: int = 0
    errors: int = 0
    dropped: int = 0


class Trial(Generic[Row, Answer]):
    """Tries the challenger of one slot. Its slot follows the alias like any other."""

    def __init__(self, champion: Slot[Row, Answer], settings: ChallengerSettings) -> None:
        self.mode = settings.mode
        self.share = self._default_share = settings.share
        self.trouble = ""
        self.counts = Counts()
        self.slot: Slot[Row, Answer] = Slot(
            champion.name,
            champion.contract,
            champion.run,
            Channel(alias=settings.alias),
            champion.limits,
            champion.observer,
            vacates=True,
            inline=False,  # it never runs in the loop that the champion needs
            join=champion.join,
        )
        if self.mode == "canary":  # the answers of a shadow are nobody's
            self.slot.witnesses.all = champion.witnesses.all
        self._champion = champion
        self._tried: Release | None = None
        self._shadows: set[asyncio.Task[None]] = set()

    def adjust(self, traffic: str, source: str) -> None:
        """Set the share of the calls, 0 to 1, as somebody wrote it; `source` is where."""
        try:
            share = float(traffic) if traffic else self._default_share
        except ValueError:
            share = math.nan
        if 0 <= share <= 1:
            self.share, self.trouble = share, ""
        else:
            self.trouble = f"{source} is {traffic!r}: give a number from 0 to 1"

    async def submit(self, rows: Sequence[Row], until: float = math.inf) -> Answered[Answer]:
        """Answer a call, by the champion unless it is the canary's turn."""
        if not self._running() or random.random() >= self.share:  # noqa: S311
            return await self._champion.batcher.submit(rows, until)
        self._begin()
        if self.mode == "canary":
            return await self._canary(rows, until)
        started = time.perf_counter()
        answered = await self._champion.batcher.submit(rows, until)
        self._shadow(rows, answered, time.perf_counter() - started)
        return answered

    def report(self) -> dict[str, Any]:
        """The trial as `/releases` tells it."""
        counts = self.counts
        return self.slot.report() | {
            "mode": self.mode,
            "share": self.share,
            "trouble": self.trouble or self.slot.trouble or None,
            "compared": counts.compared,
            "agreed": counts.agreed,
            "agreement": _ratio(counts.agreed, counts.compared),
            "champion_ms": _milliseconds(counts.champion_seconds, counts.compared),
            "challenger_ms": _milliseconds(
                counts.challenger_seconds, counts.compared + counts.answered
            ),
            "answered": counts.answered,
            "errors": counts.errors,
            "dropped": counts.dropped,
        }

    def _running(self) -> bool:
        champion, challenger = self._champion.live, self.slot.live
        if champion is None or challenger is None:
            return False
        return champion.version.version != challenger.version.version

    def _begin(self) -> None:
        """Count from nothing for every new challenger version."""
        if self._tried is not self.slot.live:
            self._tried, self.counts = self.slot.live, Counts()

    async def _canary(self, rows: Sequence[Row], until: float) -> Answered[Answer]:
        started = time.perf_counter()
        try:
            answered = await self.slot.batcher.submit(rows, until)
        except Exception:
            self.counts.errors += 1
            self._champion.observer.tried(self.slot.label, error=True)
            return await self._champion.batcher.submit(rows, until)
        self.counts.answered += 1
        self.counts.challenger_seconds += time.perf_counter() - started
        self._champion.observer.tried(self.slot.label, error=False)
        return answered

    def _shadow(self, rows: Sequence[Row], answered: Answered[Answer], seconds: float) -> None:
        """Compare in the background; a challenger that cannot keep up is spared the call."""
        busy = self.slot.batcher.queued_rows + len(rows) > self.slot.limits.batch_rows
        if busy or len(self._shadows) > self.slot.limits.batch_rows:
            self.counts.dropped += 1
            return
        task = asyncio.create_task(self._compare(rows, answered, seconds))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _compare(
        self, rows: Sequence[Row], answered: Answered[Answer], seconds: float
    ) -> None:
        started = time.perf_counter()
        try:
            tried = await self.slot.batcher.submit(rows)
        except QueueFull:
            self.counts.dropped += 1
            return
        except Exception:
            self.counts.errors += 1
            self._champion.observer.tried(self.slot.label, error=True)
            return
        agreed = all(map(_alike, answered.answers, tried.answers))
        self.counts.compared += 1
        self.counts.agreed += agreed
        self.counts.champion_seconds += seconds
        self.counts.challenger_seconds += time.perf_counter() - started
        self._champion.observer.compared(str(tried.release), agreed)


def _alike(one: object, other: object) -> bool:
    """Two answers to the same row: floats within 1 %, all else equal."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-9)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool(np.allclose(other, one, CLOSE, 1e-9, True))
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return all(
            _alike(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one == other


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _milliseconds(seconds: float, calls: int) -> float | None:
    return round(1000 * seconds / calls, 3) if calls else None
