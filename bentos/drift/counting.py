"""Counts, in the background, what the releases of a process get and answer."""

import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from bentos.drift.columns import MOST_COLUMNS, columns, joined
from bentos.drift.reference import Reference, read
from bentos.drift.shelf import Shelf, tidy
from bentos.drift.shift import shifted
from bentos.drift.tally import Tally
from bentos.loop import Loop
from bentos.serving.drift import Source
from bentos.serving.release import Contract, Release
from bentos.serving.sample import Part
from bentos.serving.slot import Slot
from bentos.settings import DriftSettings

SECONDS = 1.0  # between two takings
AT_REST = 5.0  # between two takings while nothing comes
SHARED_EVERY = 5.0  # seconds; what other workers counted is then known, too
MOST_VALUES = 100_000  # a second
ANY_SIZE = 1000  # of a dimension that may vary

Key: TypeAlias = tuple[str, str, int]
# Where a version's references may lie, the first that is there counts, and its folder of counts.
Places: TypeAlias = tuple[Sequence[tuple[Source, Path]], Path]

log = logging.getLogger(__name__)


class Counted:
    """What one version got, in this process and, merged, in all of this machine.

    A tally grows for half of the hours, and is told of for the other half.
    """

    def __init__(self, places: Places, settings: DriftSettings, me: str) -> None:
        self.usual: Reference | None = None
        self.source: Source | None = None
        self._references, folder = places
        self._shelf = Shelf(folder, me)
        self._settings = settings
        self.merged, self._own, self._before = Tally(), Tally(), Tally()
        self._since = time.monotonic()
        self._seen: dict[str, int] | None = None  # of others
        self._changed = False
        self._look_up()

    def add(self, parts: Sequence[Part], contract: Contract) -> None:
        """Count rows and answers."""
        for rows, answers in joined(parts):
            inputs = columns(rows, tuple(contract.inputs or ()))
            outputs = columns(answers, tuple(contract.outputs or ()))
            self._own.add(len(rows), inputs, outputs, self.usual)
            self._changed = True

    def share(self) -> bool:
        """Hand over what was counted, and learn what others counted; whether there is news."""
        if self.usual is None and self._shelf.reference():
            self._begin()  # the first rows are counted by now
            self._look_up()
        stamps = self._shelf.stamps()
        if not self._changed and stamps == self._seen:
            return False
        own = self._recent()
        if self._changed:
            self._shelf.share(own)
        for other in self._shelf.others(self._settings.hours):
            own.merge(other)
        self.merged, self._seen, self._changed = own, stamps, False
        if self.usual is None and self.merged.rows >= self._settings.served_rows:
            self._shelf.make(self.merged.reference())
        return True

    def _begin(self) -> None:
        self.merged, self._own, self._before = Tally(), Tally(), Tally()
        self._since, self._seen, self._changed = time.monotonic(), None, False

    def _recent(self) -> Tally:
        """What this process counted within the hours, newly merged."""
        if time.monotonic() - self._since > 1800 * self._settings.hours:
            self._before, self._own, self._since = self._own, Tally(), time.monotonic()
        recent = Tally()
        recent.merge(self._before)
        recent.merge(self._own)
        return recent

    def _look_up(self) -> None:
        for source, path in self._references:
            self.usual = read(path)
            if self.usual:
                self.source = source
                return
        self.usual = self._shelf.reference()
        self.source = "served" if self.usual else None


class Drifts:
    """The counts of all slots of a process, from `start` to `stop`."""

    def __init__(
        self,
        slots: Callable[[], Collection[Slot[Any, Any]]],
        places: Callable[[Release], Places],
        root: Path,
        settings: DriftSettings,
    ) -> None:
        self._slots = slots
        self._places = places
        self._root = root
        self._settings = settings
        self._counted: dict[Key, Counted] = {}
        self._me = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._given_up: set[Key] = set()
        self._busy = 1  # releases that were called of late
        self._at_rest = False
        self._shared = 0.0
        self._loop = Loop(
            "drift", self.look, self._pause, (OSError,),
            "what is not shared is kept", begin=lambda: tidy(root), end=self._end,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to count, where it is wanted."""
        if self._settings.enabled:
            self._loop.start()

    def stop(self) -> None:
        """Count no more."""
        if self._settings.enabled:
            self._loop.stop(SECONDS)
            self._counted = {}  # what is alive at the end of a process is called a leak

    def wake(self) -> None:
        """Look at once: another release may serve."""
        self._loop.wake()

    def shifted(self, new: Release, old: Release) -> str:
        """How a release answers otherwise than another one did, if it does; else nothing."""
        now, before = self._counted.get(_key(new)), self._counted.get(_key(old))
        return shifted(now.merged, before.merged) if now and before else ""

    def look(self) -> None:
        """Take what came, and now and then share it. Raises OSError."""
        serving, busy = list(self._serving()), 0
        for slot, release in serving:
            parts = release.sample.take(self._room(release))
            if parts:
                busy += 1
                self._alone(release, partial(self._add, slot, release, parts))
        self._busy, self._at_rest = max(1, busy), bool(serving) and not busy
        if time.monotonic() - self._shared >= SHARED_EVERY:
            self._shared = time.monotonic()
            self._share(serving)

    def _pause(self, failures: int) -> float:
        return AT_REST if self._at_rest else SECONDS

    def _end(self) -> None:
        """Leave all that was counted to the process that comes next."""
        self._shared = 0.0
        try:
            self.look()
        except OSError as error:
            log.warning("the last rows are not counted: %s", error)

    def _share(self, serving: Sequence[tuple[Slot[Any, Any], Release]]) -> None:
        there = {_key(release) for _, release in serving}
        self._counted = {key: one for key, one in self._counted.items() if key in there}
        for slot, release in serving:
            self._alone(release, partial(self._tell, slot, release))

    def _add(self, slot: Slot[Any, Any], release: Release, parts: Sequence[Part]) -> None:
        self._of(release).add(parts, slot.contract)

    def _tell(self, slot: Slot[Any, Any], release: Release) -> None:
        counted = self._of(release)
        if counted.share() or release.sample.found is None:
            release.sample.found = counted.merged.drift(counted.usual, counted.source)
            if release is slot.live:
                slot.observer.drifted(release, release.sample.found)

    def _alone(self, release: Release, work: Callable[[], None]) -> None:
        """Do something for a release; one that cannot be counted troubles no other."""
        if _key(release) in self._given_up:
            return
        try:
            work()
        except OSError:
            raise
        except Exception:
            log.exception("what comes to %s is not counted any more", release)
            self._given_up.add(_key(release))

    def _serving(self) -> Iterator[tuple[Slot[Any, Any], Release]]:
        for slot in self._slots():
            if any(fnmatchcase(slot.name, pattern) for pattern in self._settings.exclude):
                continue
            tried = slot.trial.slot.live if slot.trial else None
            for release in (slot.live, slot.previous, tried):
                if release:
                    yield slot, release

    def _of(self, release: Release) -> Counted:
        key = _key(release)
        if key not in self._counted:
            self._counted[key] = Counted(self._places(release), self._settings, self._me)
        return self._counted[key]

    def _room(self, release: Release) -> int:
        """How many rows are taken of a release until the next time."""
        rows, values = self._settings.rows_a_second, MOST_VALUES // _width(release)
        return max(1, min(rows, values) // self._busy)


def _width(release: Release) -> int:
    """The numbers and texts in a row of a release."""
    if release.schema is None:
        return max(1, math.prod(abs(size) for size in release.row_shape))
    shapes = (column.shape for column in release.schema.inputs[:MOST_COLUMNS])
    sizes = (math.prod(size if size > 0 else ANY_SIZE for size in shape) for shape in shapes)
    return max(1, sum(sizes))


def _key(release: Release) -> Key:
    version = release.version
    return version.name, version.version, version.creation_timestamp
