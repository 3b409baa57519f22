"""Brings one slot to what its channel points to."""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

from msgspec import structs

from bentos import tracing
from bentos.promotion.channel import BY_ALIAS, cause, lack, resolve
from bentos.promotion.jury import Case, Jury
from bentos.promotion.pauses import Patience, longest
from bentos.promotion.rejected import Rejected, same
from bentos.promotion.release_store import PASSING, ReleaseStore
from bentos.promotion.reporter import Reporter
from bentos.promotion.revival import Revival
from bentos.promotion.transitions import Transitions
from bentos.promotion.trial_watch import TrialWatch
from bentos.promotion.vacancy import Vacancy
from bentos.promotion.watch import Watch
from bentos.promotion.withdrawals import Withdrawals
from bentos.refusal import Refusal
from bentos.registry.client import Model, Registry, Version
from bentos.registry.digests import signed
from bentos.registry.tags import TRAFFIC_TAG
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.trial import Trial
from bentos.settings import Settings

log = logging.getLogger(__name__)


class Follower:
    """Follows the channel of one slot.

    `follow` is called by the watcher's thread, `bring` by a thread that may take its time.
    """

    def __init__(
        self,
        slot: Slot[Any, Any],
        trial: Trial[Any, Any] | None,
        registry: Registry,
        store: ReleaseStore,
        reporter: Reporter,
        settings: Settings,
        shifted: Callable[[Release, Release], str],
        jury: Jury,
    ) -> None:
        self.slot = slot
        self._trial = trial  # the trial whose challenger this slot holds
        self._registry = registry
        self._store = store
        self._reporter = reporter
        keep_previous = settings.admission.keep_previous
        self._transitions = Transitions(slot, store, reporter, keep_previous, last=trial is None)
        self._seen = reporter.recall()
        self._target: Version | None = None
        self._rejected: Rejected | None = None
        self._revival = Revival(slot, registry, store, self._transitions)
        self._watch: Watch = (
            TrialWatch(trial, registry, jury)
            if trial
            else Watch(slot, registry, settings.promotion.watch, shifted, jury)
        )
        self._patience = Patience(longest(settings))
        self._vacancy = Vacancy(slot, self._revival, self._patience, bool(trial))
        self._withdrawals = Withdrawals(
            slot, self._watch, self._transitions, self._revival, self._patience, bool(trial)
        )
        self._settled: Model | None = None  # by the last look that left nothing to do
        self._bringing = Lock()

    @property
    def case(self) -> Case | None:
        """What is watched here, for all processes to judge; None: nothing."""
        return self._watch.case

    def is_settled(self, model: Model | None) -> bool:
        """Whether a look that shows this very model has nothing to do."""
        unfit = self.slot.live and self.slot.live.unfit
        return model is not None and model is self._settled and not unfit

    def restore(self) -> None:
        """Serve the last good version from disk, whatever the registry and the store are doing.

        A challenger waits until the registry says that it is one still.
        """
        if not self._trial:
            self._revival.from_disk()

    def follow(self, model: Model | None) -> bool:
        """Look where the channel points now. Returns whether there is something to bring."""
        wanted = self._follow(model)
        tried = self._trial is not None and self._target is not None
        again = self._rejected is not None and self._by_alias
        watched = self._withdrawals.watched
        self._withdrawals.look(model, self._target)
        busy = wanted or tried or again or watched or not self._patience.calm
        self._settled = None if busy else model
        return wanted or self._withdrawals.due

    def _follow(self, model: Model | None) -> bool:
        if model is None:
            self._seen = None
            return self._nothing(f"{self.slot.name} is not in the registry")
        channel, before = self.slot.channel, self._seen
        seen = resolve(model, channel, lambda: self._registry.versions(model.name), before)
        moved = seen != before and self._by_alias  # perhaps away and back
        anew = moved and before is not None and seen.order != before.order
        for_good = self._rejected is not None and self._rejected.for_good
        if anew or (moved and not for_good) or (for_good and self._watch.lifted(model, seen)):
            self._rejected = None
        if seen.target is None:
            self._seen = seen
            return self._nothing(lack(channel, model.name))
        if seen != before or self._target is None:
            self._target = self._read(model.name, seen.target)
            self._heed(model, self._target, anew)
            self._seen = seen
            self._reporter.keep(seen)
        self.slot.promise()
        if self._trial:  # its share may be set on the version at any time
            at = self._target.last_updated_timestamp  # an edit does not promote it anew
            read = self._read(model.name, seen.target)
            self._target = structs.replace(read, last_updated_timestamp=at)
            self._trial.adjust(self._target.tag(TRAFFIC_TAG), f"the tag {TRAFFIC_TAG}")
        self._transitions.overtake(self._target)
        wanted = self._wanted(self._target)
        if wanted and not (self._rejected and self._rejected.is_same_promotion(self._target)):
            self.slot.consider(self._target)  # callers wait for it
        return wanted or self._lacking

    def bring(self) -> None:
        """Admit the target and swap to it, or note why not; nothing if nothing is wanted."""
        with self._bringing:
            target = self._target
            if self._withdrawals.due and self._withdrawals.carry_out(target) and target:
                self._rejected = Rejected(target, folder=None)
            if target and self._wanted(target):
                told = {"model": target.name, "version": target.version}
                with tracing.span("promotion", root=True, **told):
                    self._bring(target)
            if self._lacking:
                self._vacancy.fill(self._target, self._seen)

    def retry(self) -> None:
        """Forget refusals and pauses, so that the next look tries again."""
        if self._rejected and not self._rejected.for_good:
            self._rejected = None
        self._vacancy.retry()
        self.hurry()

    def hurry(self) -> None:
        """Wait no more: what stood in the way may be gone."""
        self._patience.end()
        self._settled = None

    def _read(self, name: str, number: str) -> Version:
        return signed(self._registry, self._registry.version(name, number))

    def _heed(self, model: Model, target: Version, anew: bool) -> None:
        """Leave a version alone that was withdrawn, unless it is promoted anew."""
        if anew:
            self._watch.forgive(model, target)
        elif refusal := self._watch.withdrawn(model, target):
            self._rejected = Rejected(target, folder=None)
            self.slot.refuse(target, refusal)

    def _bring(self, target: Version) -> None:
        try:
            if self._transitions.return_to(target, self._cause):
                return
            if self._rejected and self._rejected.is_same_promotion(target):
                target = self._read(target.name, target.version)
                if not self._is_repaired(self._rejected, target):
                    return
            self.slot.consider(target, self.slot.trouble)
            self._reporter.note(target, "admitting")
            self._try(target)
        except PASSING as error:
            self._put_off(target, str(error))
        except Exception:
            log.exception("bringing %s failed", target)
            self._put_off(target, "an internal error; see the service's log")

    def _try(self, target: Version) -> None:
        try:
            release = self._store.admit(self.slot.contract, target)
        except Refusal as refusal:
            tracing.note(failed=refusal.reason)
            self._rejected = Rejected(target, self._store.artifacts.folder(target))
            self._transitions.refuse(target, refusal)
        else:
            self._patience.end()
            self._store.pin(target, release)
            if self._target and same(self._target, target):
                self._transitions.swap(release, "swap", self._cause)

    @property
    def _lacking(self) -> bool:
        return self._vacancy.is_open(self._target, self._seen)

    @property
    def _cause(self) -> str:
        return cause(self.slot.channel, self._seen)

    @property
    def _by_alias(self) -> bool:
        """Whether an alias pointed to the target at the last look."""
        by = self._seen.model_timestamp if self._seen else None
        return self.slot.channel.alias is not None or by == BY_ALIAS

    def _wanted(self, target: Version) -> bool:
        live, rejected = self.slot.live, self._rejected
        if live and same(live.version, target):
            self.slot.consider(None)
            return False
        if rejected and rejected.is_same_promotion(target):
            return self._by_alias and rejected.may_be_repaired
        return self._patience.over

    def _is_repaired(self, rejected: Rejected, version: Version) -> bool:
        folder = self._store.fetched(version)
        if rejected.is_repaired(version, folder):
            self._rejected = None
            return True
        rejected.patience.fail()
        self._store.discard(version)
        return False

    def _put_off(self, target: Version, trouble: str) -> None:
        tracing.note(failed="put off")
        seconds = self._patience.fail()
        self.slot.consider(self.slot.candidate, trouble)
        self._reporter.note(target, "admitting", trouble)
        log.warning("%s waits %.1f s: %s", target, seconds, trouble)

    def _nothing(self, trouble: str) -> bool:
        self._target = None
        self._transitions.overtake(None)
        self.slot.empty(trouble)
        gone = self.slot.live
        if gone and self.slot.vacates:
            self._transitions.vacate(gone, trouble)
        return self._lacking
