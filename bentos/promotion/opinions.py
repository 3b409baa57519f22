"""Asks the release before for what a new one refuses: rows that it answers are no caller's fault.

That is done in the background, a few calls a second of each model, and only on probation. A
release that was closed for want of memory is not opened for that.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from bentos.loop import Loop
from bentos.promotion.watch import on_probation
from bentos.serving.budget import CannotOpen
from bentos.serving.failures import FailedTooOften, Failing
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import WatchSettings

SECONDS = 1.0  # between two looks
AT_REST = 30.0  # between two looks while no release is on probation
CALLS = 5  # of a model in a look
BUSY_SECONDS = 0.1  # after which no other call of a model is asked in a look

log = logging.getLogger(__name__)


class Opinions:
    """Of the releases before those that are on probation, from `start` to `stop`."""

    def __init__(
        self, slots: Callable[[], Collection[Slot[Any, Any]]], settings: WatchSettings
    ) -> None:
        self._slots = slots
        self._settings = settings
        self._loop = Loop("refused rows", self.look, self._pause, (), "what serves goes on")
        self._at_rest = False

    def start(self) -> None:
        """Begin to ask, where it is wanted."""
        if self._settings.refusals:
            self._loop.start()

    def stop(self) -> None:
        """Ask no more."""
        if self._settings.refusals:
            self._loop.stop(SECONDS)

    def wake(self) -> None:
        """Look at once: a release may be on probation now."""
        self._loop.wake()

    def look(self) -> None:
        """Ask for what was refused since the last look."""
        watched = [slot for slot in self._slots() if on_probation(slot, self._settings)]
        self._at_rest = not watched
        for slot in watched:
            live, before = slot.live, slot.previous
            if live and before and before.is_open:
                _ask(slot, live, before)

    def _pause(self, failures: int) -> float:
        return AT_REST if self._at_rest else SECONDS


def _ask(slot: Slot[Any, Any], live: Release, before: Release) -> None:
    until = time.monotonic() + BUSY_SECONDS
    for call in live.disputed.take(CALLS):
        if time.monotonic() > until:
            return
        try:
            taken = _answers(slot, before, call.rows)
        except ValueError:  # rows of other columns: nobody can tell
            continue
        except (CannotOpen, Failing, FailedTooOften) as error:
            log.warning("%s is asked no more of what %s refuses: %s", before, live, error)
            live.disputed.close()
            return
        live.disputed.note(call, taken)


def _answers(slot: Slot[Any, Any], release: Release, rows: Sequence[Any]) -> bool:
    """Whether a release answers these rows. Raises ValueError for rows of other columns."""
    if isinstance(rows, Table) and release.schema:
        rows = rows.by(release.schema)
    release.open()
    try:
        return len(slot.run(release, rows)) == len(rows)
    except (CannotOpen, Failing, FailedTooOften):
        raise
    except BaseException:  # also a panic in a Rust library
        return False
    finally:
        release.free()
