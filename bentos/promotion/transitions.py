"""What changes at a slot: each change is written down, done, and reported."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bentos.process import collect_soon
from bentos.promotion.ledger import What
from bentos.promotion.rejected import same
from bentos.promotion.release_store import ReleaseStore
from bentos.promotion.reporter import Reporter
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.registry.sources import StoreUnavailable
from bentos.serving.budget import CannotOpen
from bentos.serving.disputed import Disputed
from bentos.serving.failures import FailedTooOften, Failing
from bentos.serving.record import Record
from bentos.serving.release import Release
from bentos.serving.sample import Sample
from bentos.serving.slot import Slot
from bentos.tracing import span

log = logging.getLogger(__name__)


class Transitions:
    """The changes of one slot. If `last`, what it serves is served again after a restart."""

    def __init__(
        self,
        slot: Slot[Any, Any],
        store: ReleaseStore,
        reporter: Reporter,
        keep_previous: bool,
        last: bool,
    ) -> None:
        self._slot = slot
        self._store = store
        self._reporter = reporter
        self._keep_previous = keep_previous
        self._last = last

    def swap(self, release: Release, what: What, why: str) -> None:
        """Let a release serve from now on."""
        before = self._slot.live
        release = replace(
            release,
            since=datetime.now(UTC),
            record=Record(),
            sample=Sample(),
            disputed=Disputed(),
        )
        with span("swap"):
            self._reporter.record(what, release.version, why)
            self._slot.swap(release, self._keep_previous)
        collect_soon()
        self._reporter.swapped(before, release, what, why)
        warm = [kept.version for kept in (self._slot.live, self._slot.previous) if kept]
        self._store.keep(release, warm, last=self._last)

    def return_to(self, target: Version, why: str) -> bool:
        """Swap to the release before the live one, if the target is that, and it can be opened."""
        previous = self._slot.previous
        if not (previous and same(previous.version, target)):
            return False
        try:
            previous.open()
        except (CannotOpen, Failing, FailedTooOften):
            return False  # it is admitted as if it were new, which tells why
        again = replace(previous, version=target)  # its tags name who promoted it now
        try:
            self.swap(again, "rollback", f"{why} again")
        finally:
            again.free()
        return True

    def refuse(self, version: Version, refusal: Refusal) -> None:
        """Say why a version does not serve, and drop its files."""
        self._slot.refuse(version, refusal)
        self._reporter.refused(version, refusal)
        self._store.discard(version)

    def withdraw(self, refusal: Refusal) -> bool:
        """Let the release before serve again, as the live one does worse; whether that is gone.

        One that may not serve at all goes at any rate.
        """
        bad = self._slot.live
        if bad and not self._went_back(bad, refusal) and bad.unfit:
            self.vacate(bad, f"{bad} is withdrawn: {refusal.message}")
            self.refuse(bad.version, refusal)
        return bad is not None and self._slot.live is not bad

    def _went_back(self, bad: Release, refusal: Refusal) -> bool:
        back = self._slot.previous
        if back is None:
            return False
        try:
            back.open()
        except (CannotOpen, Failing, FailedTooOften) as error:
            log.warning("%s does worse than %s, which cannot be opened: %s", bad, back, error)
            return False
        try:
            self._go_back(bad, replace(back, since=datetime.now(UTC)), refusal)
        finally:
            back.free()
        return True

    def _go_back(self, bad: Release, back: Release, refusal: Refusal) -> None:
        why = f"{bad} is withdrawn: {refusal.message}"
        self._reporter.record("refusal", bad.version, str(refusal))
        self._reporter.record("withdrawal", back.version, why)
        self._slot.swap(back, keep_previous=False)
        collect_soon()
        self._reporter.swapped(None, back, "withdrawal", why)
        self._store.keep(back, [back.version], last=self._last)
        self._slot.refuse(bad.version, refusal)
        self._reporter.withdrawn(bad, refusal)

    def end(self, bad: Release, refusal: Refusal) -> None:
        """Try a challenger no more."""
        self._reporter.record("refusal", bad.version, str(refusal))
        self.vacate(bad, f"{bad} is withdrawn: {refusal.message}")
        self._slot.refuse(bad.version, refusal)
        self._reporter.withdrawn(bad, refusal)

    def gave_way(self, bad: Release, refusal: Refusal) -> None:
        """Say why what served does no more; what other processes serve took its place."""
        self._reporter.record("refusal", bad.version, str(refusal))
        self._slot.refuse(bad.version, refusal)
        self._reporter.withdrawn(bad, refusal)

    def overtake(self, target: Version | None) -> None:
        """Let a candidate go that the channel points to no more."""
        candidate = self._slot.candidate
        if candidate and not (target and same(candidate, target)):
            self._slot.consider(None, self._slot.trouble)
            why = f"the {self._slot.channel} moved on before it served"
            self._reporter.note(candidate, "retired", why)

    def vacate(self, gone: Release, why: str) -> None:
        """Serve nothing any more, also after a restart."""
        self._reporter.record("vacated", gone.version, why)
        self._slot.vacate()
        self._reporter.vacated(gone, why)
        try:
            if self._last:
                self._store.artifacts.forget(self._slot.name)
        except StoreUnavailable as error:
            log.warning("a restart may find %s on disk again: %s", gone, error)
