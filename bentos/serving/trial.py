"""Champion and challenger: a second channel of a slot, tried on real calls.

shadow: the challenger sees a share of the calls, its answers are compared and never returned.
canary: the challenger answers a share of the calls; where it fails, the champion answers.
"""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from typing import Any, Generic, cast

import msgspec

from bentos.serving.answers import alike
from bentos.serving.batching import NoRelease, QueueFull
from bentos.serving.evidence import Evidence
from bentos.serving.release import Release
from bentos.serving.seen import Seen
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.serving.waiting import Answer, Answered, Late, Row
from bentos.settings import ChallengerSettings, Channel
from bentos.tensors import BadInput


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
    """Tries the challenger of one slot. Its slot follows the alias like any other.

    It failed at a call where the champion answers that, or where its time was over; what the
    champion does not take either was its caller's fault.
    """

    def __init__(self, champion: Slot[Row, Answer], settings: ChallengerSettings) -> None:
        self.settings = settings
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
        self._seen = Seen(None, None)
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
        if not self.running:
            return await self._champion.batcher.submit(rows, until)
        self._begin()
        if random.random() >= self.share:  # noqa: S311
            return await self._by_champion(rows, until)
        if self.mode == "canary":
            return await self._canary(rows, until)
        started = time.perf_counter()
        answered = await self._by_champion(rows, until)
        self._shadow(rows, answered, time.perf_counter() - started)
        return answered

    def report(self) -> dict[str, Any]:
        """The trial as `/releases` tells it."""
        counts = self.counts if self._tried is self.slot.live else Counts()
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

    @property
    def running(self) -> bool:
        """Whether there are two versions."""
        champion, challenger = self._champion.live, self.slot.live
        if champion is None or challenger is None:
            return False
        return champion.version.version != challenger.version.version

    def evidence(self) -> Evidence:
        """What the calls to this process showed of the two that are there now."""
        seen, challenger, champion = self._seen, self.slot.live, self._champion.live
        if not seen.are(challenger, champion):  # no call came since
            seen = Seen(challenger, champion)
        return seen.evidence()

    def _begin(self) -> None:
        """Count from nothing for every new challenger version."""
        challenger, champion = self.slot.live, self._champion.live
        if self._tried is not challenger:
            self._tried, self.counts = challenger, Counts()
        if not self._seen.are(challenger, champion):
            self._seen = Seen(challenger, champion)

    async def _by_champion(self, rows: Sequence[Row], until: float) -> Answered[Answer]:
        seen = self._seen.champion
        try:
            answered = await self._champion.batcher.submit(rows, until)
        except (BadInput, QueueFull, NoRelease):
            raise
        except Exception:
            seen.failed()
            raise
        seen.went_well()
        return answered

    async def _canary(self, rows: Sequence[Row], until: float) -> Answered[Answer]:
        seen, started = self._seen, time.perf_counter()
        theirs = read_by(rows, seen.pair[0])
        try:
            if theirs is None:
                raise NoRelease
            answered = await self.slot.batcher.submit(theirs, until)
        except (QueueFull, NoRelease):
            self.counts.dropped += 1
            return await self._champion.batcher.submit(rows, until)
        except Late:
            self._failed(seen)
            raise
        except Exception:
            answered = await self._champion.batcher.submit(rows, until)
            self._failed(seen)
            return answered
        seen.challenger.went_well()
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
        seen, started = self._seen, time.perf_counter()
        theirs = read_by(rows, seen.pair[0])
        try:
            if theirs is None:
                raise NoRelease
            tried = await self.slot.batcher.submit(theirs)
        except (QueueFull, NoRelease):
            self.counts.dropped += 1
            return
        except Exception:
            self._failed(seen)
            return
        agreed = all(map(alike, answered.answers, tried.answers))
        seen.challenger.went_well()
        (seen.compared.went_well if agreed else seen.compared.failed)()
        self.counts.compared += 1
        self.counts.agreed += agreed
        self.counts.champion_seconds += seconds
        self.counts.challenger_seconds += time.perf_counter() - started
        self._champion.observer.compared(str(tried.release), agreed)

    def _failed(self, seen: Seen) -> None:
        seen.challenger.failed()
        self.counts.errors += 1
        self._champion.observer.tried(self.slot.label, error=True)


def read_by(rows: Sequence[Row], release: Release | None) -> Sequence[Row] | None:
    """Rows as they are read by the schema of another release; None where it cannot take them.

    That has other columns, or lacks the probabilities that are asked for.
    """
    table: Any = rows
    if not isinstance(table, Table) or release is None or release.schema is None:
        return rows
    if table.probable and release.probabilities.predict is None:
        return None
    if table.schema == release.schema:
        return rows
    try:
        read: Any = None if table.probable else table.by(release.schema)
    except ValueError:
        return None
    return cast(Sequence[Row] | None, read)


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _milliseconds(seconds: float, calls: int) -> float | None:
    return round(1000 * seconds / calls, 3) if calls else None
