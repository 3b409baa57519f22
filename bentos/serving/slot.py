"""The live release of one registered model: swap, roll back."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Protocol

import msgspec

from bentos.refusal import Refusal
from bentos.serving.batching import Batcher, NoRelease, flat
from bentos.serving.engine import Join, Run
from bentos.serving.observer import Observer
from bentos.serving.release import Contract, Release
from bentos.serving.waiting import Answer, Answered, Row
from bentos.serving.witness import Witnesses
from bentos.settings import Channel, LimitSettings
from bentos.version import Version

COMING_PAUSE = 0.02  # seconds


class LastRefusal(msgspec.Struct, frozen=True):
    """The last candidate that was turned down."""

    version: str
    reason: str
    message: str
    at: str


class Tried(Protocol[Row, Answer]):
    """A challenger beside what serves: it takes the calls, and sees that they are answered."""

    @property
    def slot(self) -> "Slot[Row, Answer]":
        """The challenger's own."""
        ...

    async def submit(self, rows: Sequence[Row], until: float) -> Answered[Answer]:
        """Answer the rows of one call, until a time of the monotonic clock."""
        ...

    def report(self) -> dict[str, Any]:
        """How it goes, for `/releases`."""
        ...


class Slot(Generic[Row, Answer]):
    """Where a promotion and a request meet.

    `run` turns a batch of rows into answers with the release that it is given. A swap is one
    reference assignment: it may come from any thread, and no batch sees two releases.
    """

    def __init__(
        self,
        name: str,
        contract: Contract,
        run: Run[Row, Answer],
        channel: Channel,
        limits: LimitSettings,
        observer: Observer,
        vacates: bool = False,
        inline: bool = True,
        join: Join = flat,
    ) -> None:
        self.name = name
        self.contract = contract
        self.run = run
        self.join = join
        self.channel = channel
        self.limits = limits
        self.observer = observer
        self.vacates = vacates  # whether the live release goes when its channel is empty
        self._served: tuple[Release | None, Release | None] = (None, None)
        self.candidate: Version | None = None
        self.refused: LastRefusal | None = None
        self.promised: bool | None = None  # whether the channel holds a version; None: not known
        self.trouble = ""  # why the channel's version does not serve yet, if that may pass
        self.restoring = False  # whether the last good version may be about to come from disk
        self.trial: Tried[Row, Answer] | None = None
        self.witnesses = Witnesses(contract)
        self.batcher = self._batcher(lambda: self.live, inline)
        self.warm = self._batcher(lambda: self.previous, inline=False)

    def _batcher(
        self, release: Callable[[], Release | None], inline: bool
    ) -> Batcher[Row, Answer]:
        limits = self.limits
        return Batcher(
            release,
            self.run,
            self.observer,
            limits.batch_rows,
            limits.queue_rows,
            inline=inline,
            join=self.join,
            witnesses=self.witnesses,
        )

    @property
    def live(self) -> Release | None:
        """What serves."""
        return self._served[0]

    @property
    def previous(self) -> Release | None:
        """What served before, and is kept warm."""
        return self._served[1]

    @property
    def standing(self) -> dict[str, tuple[Release, Batcher[Row, Answer]]]:
        """What answers callers who name a version: the live one, the previous, the challenger."""
        live, previous = self._served
        found = [(live, self.batcher), (previous, self.warm)]
        if self.trial:
            found.append((self.trial.slot.live, self.trial.slot.batcher))
        there: dict[str, tuple[Release, Batcher[Row, Answer]]] = {}
        for release, batcher in found:
            if release:
                there.setdefault(release.version.version, (release, batcher))
        return there

    @property
    def label(self) -> str:
        """What serves, as `model/version`, or the model alone."""
        return str(self.live) if self.live else self.name

    @property
    def coming(self) -> bool:
        """Whether nothing serves yet, and a version is on its way that nothing holds up."""
        on_its_way = self.restoring or (self.candidate is not None and not self.trouble)
        return self.live is None and on_its_way

    @property
    def hindrance(self) -> str:
        """Why nothing serves, for a caller."""
        if self.candidate:
            waits = f"version {self.candidate.version} is being checked"
            return f"{waits}, and waits: {self.trouble}" if self.trouble else waits
        if self.refused and self.promised:
            why = f"{self.refused.reason}: {self.refused.message}"
            return f"version {self.refused.version} was refused: {why}"
        if self.trouble and self.promised:
            return self.trouble
        if self.promised is None:
            return self.trouble or "MLflow has not said yet what is promoted"
        newest = self.channel.newest
        return "register or copy one" if newest else f"promote one to the {self.channel}"

    async def predict(
        self, rows: Sequence[Row], version: str | None = None, until: float = math.inf
    ) -> Answered[Answer]:
        """Answer the rows of one call, in order, all by one release.

        While nothing serves yet, calls wait for the version that is on its way, `until` a time
        of the monotonic clock. Those for a `version` are answered by another one where a swap
        comes between: look at the release. Raises as `Batcher.submit`.
        """
        if self.coming:
            await self.arrival(until)
        if version is not None:
            standing = self.standing.get(version)
            if standing is None:
                raise NoRelease
            return await standing[1].submit(rows, until)
        return await (self.trial or self.batcher).submit(rows, until)

    async def arrival(self, until: float) -> None:
        """Return once something serves, or nothing is on its way, or at that time."""
        while self.coming and time.monotonic() < until:  # noqa: ASYNC110 - it ends in a thread
            await asyncio.sleep(COMING_PAUSE)

    def try_beside(self, trial: Tried[Row, Answer]) -> None:
        """Let a trial take the calls from now on."""
        self.trial = trial

    def restore(self, ongoing: bool) -> None:
        """Say whether the last good version may soon come from disk; callers wait for it."""
        self.restoring = ongoing

    def promise(self) -> None:
        """Say that the channel holds a version."""
        self.promised = True

    def empty(self, trouble: str) -> None:
        """Say that the channel holds no version, and why; what serves goes on."""
        self.trouble, self.promised = trouble, False

    def consider(self, version: Version | None, trouble: str = "") -> None:
        """Say which version is on its way, if one is, and what holds it up for now."""
        self.candidate, self.trouble = version, trouble

    def vacate(self) -> None:
        """Let nothing serve."""
        self._served = None, None

    def swap(self, release: Release, keep_previous: bool = True) -> None:
        """Let a release serve from the next batch on."""
        release.succeed(self.live)
        self._served = release, self.live if keep_previous else None
        self.candidate, self.trouble, self.promised = None, "", True

    def refuse(self, version: Version, refusal: Refusal) -> None:
        """Note a candidate that may not serve; what serves goes on."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.refused = LastRefusal(version.version, refusal.reason, refusal.message, at)
        self.candidate, self.trouble = None, ""

    def report(self) -> dict[str, Any]:
        """The slot as `/releases` shows it."""
        told = {
            "model": self.name,
            "channel": str(self.channel),
            "live": _described(self.live),
            "previous": _described(self.previous),
            "candidate": self.candidate.version if self.candidate else None,
            "refused": self.refused,
            "trouble": self.trouble or None,
            "drift": _drift(self.live),
        }
        if self.trial and (self.trial.slot.live or self.trial.slot.refused):
            told["challenger"] = self.trial.report()
        return told


def _drift(release: Release | None) -> dict[str, Any] | None:
    found = release.sample.found if release else None
    return found.report() if found else None


def _described(release: Release | None) -> dict[str, Any] | None:
    if release is None:
        return None
    return {
        "version": release.version.version,
        "run_id": release.version.run_id,
        "digest": release.version.digest,
        "since": release.since.isoformat(timespec="milliseconds"),
        "open": release.is_open,
        "runs": release.runs,
        "note": release.note,
        "row_ms": round(release.row_seconds * 1000, 3),
        "admission_seconds": round(release.admission_seconds, 3),
        "warnings": release.warnings,
        "schema": release.schema.source if release.schema else None,
        "example": ("made up" if release.made_up else "stored") if release.example else None,
    }
