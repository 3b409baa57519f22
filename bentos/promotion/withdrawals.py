"""Takes back what serves, where this process or another one found it worse than before."""

import logging
from typing import Any

from bentos.promotion.pauses import Patience
from bentos.promotion.rejected import same
from bentos.promotion.release_store import PASSING
from bentos.promotion.revival import Revival
from bentos.promotion.transitions import Transitions
from bentos.promotion.watch import Watch
from bentos.refusal import Refusal
from bentos.registry.client import Model, Version
from bentos.serving.release import Release
from bentos.serving.slot import Slot

log = logging.getLogger(__name__)


class Withdrawals:
    """Of one slot. One that is `tried`, a challenger, goes, and none takes its place."""

    def __init__(
        self,
        slot: Slot[Any, Any],
        watch: Watch,
        transitions: Transitions,
        revival: Revival,
        patience: Patience,
        tried: bool,
    ) -> None:
        self._slot = slot
        self._watch = watch
        self._transitions = transitions
        self._revival = revival
        self._patience = patience
        self._tried = tried
        self._found: Refusal | None = None  # against what serves, here
        self._heard: Refusal | None = None  # the same, of other processes

    @property
    def watched(self) -> bool:
        """Whether what serves is held against what served before, here or elsewhere."""
        return self._watch.case is not None

    @property
    def due(self) -> bool:
        """Whether the last look found something against what serves."""
        return bool(self._found or self._heard)

    def look(self, model: Model | None, target: Version | None) -> None:
        """See whether something speaks against what serves."""
        self._found = self._watch.against()
        self._heard = self._told(model, target)

    def carry_out(self, target: Version | None) -> bool:
        """Go back to the release before, or else to what serves elsewhere; or end the trial.

        Returns whether it was the target that went.
        """
        found, heard = self._found, self._heard
        self._found = self._heard = None
        bad, refusal = self._slot.live, heard or found  # in the words of who was first
        serves = bool(bad and target and same(bad.version, target))
        if not (bad and refusal) or not (serves or bad.unfit):
            return False
        if not self._left(bad, target, refusal, here=found is not None):
            return False
        if target and serves and found and not heard:
            self._watch.note(target, refusal)
        return serves

    def _left(self, bad: Release, target: Version | None, refusal: Refusal, here: bool) -> bool:
        """Whether a release serves no more; `here` it was found to do worse."""
        if self._tried:
            self._transitions.end(bad, refusal)
            return True
        if self._transitions.withdraw(refusal):
            return True
        return not (here and self._watch.ongoing) and self._gave_way(bad, target, refusal)

    def _told(self, model: Model | None, target: Version | None) -> Refusal | None:
        """Why another process withdrew what serves here."""
        live = self._slot.live
        if not (model and live and target and same(live.version, target)):
            return None
        return self._watch.withdrawn(model, target) if self._patience.over else None

    def _gave_way(self, bad: Release, target: Version | None, refusal: Refusal) -> bool:
        """Whether what serves elsewhere serves here now; there was no release to go back to."""
        try:
            if self._revival.from_registry(target, f"{bad} is withdrawn: {refusal.message}"):
                self._transitions.gave_way(bad, refusal)
                return True
        except PASSING as error:
            log.warning("%s is withdrawn, and serves on for now: %s", bad, error)
        self._patience.fail()
        return False
