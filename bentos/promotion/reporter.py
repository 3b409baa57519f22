"""Reports what happens to a slot: to the ledger, the registry, the metrics and the log."""

import logging
from datetime import UTC, datetime
from sqlite3 import Error as LedgerError
from typing import Any

from bentos.admission.quarantine import NOTE as IN_QUARANTINE
from bentos.flavors.opening import FROM_PICKLE
from bentos.promotion.channel import Promotions
from bentos.promotion.ledger import Ledger, What
from bentos.promotion.notes import Note, Notes
from bentos.promotion.promoter import promoter, when
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.registry.tags import PROMOTED_BY_TAG, State
from bentos.serving.release import Release
from bentos.serving.slot import Slot

UNUSUAL = (FROM_PICKLE, IN_QUARANTINE)

log = logging.getLogger(__name__)

PROMOTED = ("swap", "rollback", "refusal")  # what somebody's promotion leads to


class Reporter:
    """What happens to one slot. `serving` is what its release is: live, or a challenger."""

    def __init__(
        self, slot: Slot[Any, Any], ledger: Ledger, notes: Notes, serving: State = "live"
    ) -> None:
        self._slot = slot
        self._ledger = ledger
        self._notes = notes
        self._serving = serving
        self._channel = str(slot.channel)
        self._credited: set[str] = set()  # tags that counted once

    def record(self, what: What, version: Version, why: str) -> None:
        """Write a line of the ledger, before anything else is done."""
        try:
            self._ledger.record(what, self._channel, version, why, self._who(what, version))
        except LedgerError as error:
            log.error("the ledger misses %s of %s (%s): %s", what, version, why, error)

    def swapped(self, before: Release | None, release: Release, what: What, why: str) -> None:
        """A release serves now."""
        self._slot.observer.swapped(self._channel, before, release, what)
        log.info("%s serves (%s, %s): %s", release, what, release.runs, why)
        warnings = "; ".join(release.warnings)
        self.note(release.version, self._serving, warnings, _form(release))
        if before and before.version.version != release.version.version:
            self.note(before.version, "retired", f"replaced by {release}")

    def refused(self, version: Version, refusal: Refusal) -> None:
        """A version may not serve."""
        self.record("refusal", version, str(refusal))
        self._slot.observer.refused(self._slot.name, refusal)
        self.note(version, "refused", str(refusal))
        log.warning("%s is refused; %s goes on serving: %s", version, self._slot.live, refusal)

    def withdrawn(self, bad: Release, refusal: Refusal) -> None:
        """A release did worse than the one before, or the one beside it."""
        self._slot.observer.vacated(self._channel, bad)
        self._slot.observer.refused(self._slot.name, refusal)
        self.note(bad.version, "withdrawn", str(refusal))
        again = f"; {self._slot.live} serves again" if self._slot.live else ""
        log.warning("%s is withdrawn%s: %s", bad, again, refusal)

    def vacated(self, gone: Release, why: str) -> None:
        """Nothing serves any more."""
        self._slot.observer.vacated(self._channel, gone)
        self.note(gone.version, "retired", why)

    def note(self, version: Version, state: State, reason: str = "", runs: str = "") -> None:
        """Say on a version what is done with it."""
        self._notes.put(Note(version, state, reason, self._channel, runs))

    def recall(self) -> Promotions | None:
        """The order of promotions as the last process saw it."""
        return self._ledger.recall(self._slot.name, self._channel)

    def keep(self, seen: Promotions) -> None:
        """Keep the order of promotions for the next start."""
        try:
            self._ledger.remember(self._slot.name, self._channel, seen)
        except LedgerError as error:
            log.error("the order of promotions of %s is not kept: %s", self._slot.name, error)

    def _who(self, what: What, version: Version) -> str:
        """Who promoted a version, where that led to this."""
        tag = version.tag(PROMOTED_BY_TAG)
        if what not in PROMOTED or tag in self._credited:
            return ""
        self._credited.add(tag)
        at = when(version)
        if at and self._ledger.credited(version, at):  # by a process that was here before
            return ""
        return promoter(version, self._slot.channel, datetime.now(UTC))


def _form(release: Release) -> str:
    """What it runs as, and how it was opened where people want to know."""
    how = [f" ({opened})" for opened in UNUSUAL if release.note.startswith(opened)]
    return "".join([release.runs, *how])
