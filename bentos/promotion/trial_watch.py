"""The watch over a challenger: one that does worse than what serves is tried no more."""

from typing import Any

from bentos.promotion.jury import Case, Jury
from bentos.promotion.watch import Watch
from bentos.registry.client import Registry, Version
from bentos.registry.tags import ENDED_TAG
from bentos.serving.comparison import differing, failing, slower
from bentos.serving.evidence import Evidence
from bentos.serving.trial import Trial
from bentos.settings import WatchSettings

CHAMPION = "the champion"


class TrialWatch(Watch):
    """Over the challenger of a trial, as long as there is one.

    An alias has no time of its own: a withdrawn version is known by when it was made.
    """

    tag = ENDED_TAG

    def __init__(self, trial: Trial[Any, Any], registry: Registry, jury: Jury) -> None:
        super().__init__(trial.slot, registry, WatchSettings(), lambda one, other: "", jury)
        self._trial = trial

    @property
    def ongoing(self) -> bool:
        """Whether there are two versions to compare."""
        return self._trial.running

    @property
    def case(self) -> Case | None:
        """The challenger, as the calls here show it; None: no such."""
        tried = self._trial.slot.live
        if tried is None or not self.ongoing:
            return None
        return Case(self.subject(tried.version), self._trial.evidence(), self._worse)

    def _worse(self, seen: Evidence) -> str:
        wanted, found = self._trial.settings, ""
        if wanted.errors:
            found = failing(seen.new, seen.old, CHAMPION)
        if not found and wanted.latency:
            found = slower(seen.new, seen.old, CHAMPION)
        if not found and wanted.disagreement is not None:
            found = differing(seen.compared, wanted.disagreement)
        return found

    def _times(self, version: Version) -> tuple[int, int]:
        return version.creation_timestamp, 0
