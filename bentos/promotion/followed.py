"""The slots of a process, and who follows their channels."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentos.admission.cache import Artifacts
from bentos.admission.office import Office
from bentos.promotion.follower import Follower
from bentos.promotion.jury import Case, Jury
from bentos.promotion.ledger import Ledger
from bentos.promotion.notes import Notes
from bentos.promotion.release_store import ReleaseStore
from bentos.promotion.reporter import Reporter
from bentos.registry.client import CallFailed, Model, NotInRegistry, Registry
from bentos.registry.tags import State
from bentos.serving.budget import Budget
from bentos.serving.rack import Rack
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.trial import Trial
from bentos.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Means:
    """What all followers of a process work with."""

    settings: Settings
    registry: Registry
    artifacts: Artifacts
    budget: Budget
    office: Office
    ledger: Ledger
    notes: Notes
    jury: Jury
    shifted: Callable[[Release, Release], str]


class Followed:
    """The slots that a process has from the start, and those that its racks have at the moment.

    Followers are added and dropped by one thread; readers in others see the old or the new.
    """

    def __init__(
        self, slots: Sequence[Slot[Any, Any]], racks: Sequence[Rack[Any, Any]], means: Means
    ) -> None:
        self._means = means
        self._racks = racks
        self.named = {slot.name for slot in slots}  # they serve whatever their tags say
        self.stems = [stem for rack in racks for stem in rack.stems]
        self.followers = [follower for slot in slots for follower in self._both(slot)]
        self.names: set[str] = set()  # of the models, as the last look left them
        self._looked_over: Mapping[str, Model] | None = None

    @property
    def cases(self) -> list[Case]:
        """What is watched here."""
        return [case for follower in self.followers if (case := follower.case)]

    @property
    def slots(self) -> list[Slot[Any, Any]]:
        """All slots but those of challengers."""
        return [follower.slot for follower in self.followers if follower.slot.trial]

    @property
    def weights(self) -> dict[str, int]:
        """The bytes of the open models in this process, by name: live, previous, challenger."""
        weights: dict[str, int] = {}
        for slot in [follower.slot for follower in self.followers]:
            there = sum(one.weight for one in (slot.live, slot.previous) if one)
            weights[slot.name] = weights.get(slot.name, 0) + there
        return weights

    def promise(self, names: Collection[str]) -> None:
        """Let callers wait for the models on this disk until `restore` has looked at them."""
        for slot in self._add(names):
            slot.promise()
        for follower in self.followers:
            follower.slot.restore(ongoing=True)

    def restore(self) -> None:
        """Serve the last good versions from disk; one that cannot troubles no other."""
        for follower in self.followers:
            try:
                follower.restore()
            except Exception:
                log.exception("restoring %s from disk failed", follower.slot.name)
            finally:
                follower.slot.restore(ongoing=False)
        for rack in self._racks:
            rack.known = bool(rack.slots)

    def look(self, models: Mapping[str, Model], begin: Callable[[Follower], None]) -> None:
        """Follow what a look at the registry shows; `begin` is called with who has to bring."""
        anew = models is not self._looked_over
        serving = [name for name in models if self._may_serve(models[name])] if anew else []
        if anew:
            self._add(serving)
        for follower in self.followers:
            if self._wants(follower, models.get(follower.slot.name)):
                begin(follower)
        if anew:
            self._drop(serving)
        self._looked_over = models

    def retry(self) -> None:
        """Let all forget refusals and pauses."""
        for follower in self.followers:
            follower.retry()

    def hurry(self) -> None:
        """Let none wait longer: what stood in the way may be gone."""
        for follower in self.followers:
            follower.hurry()

    def looked_over(self) -> None:
        """The racks hold every model that there is."""
        for rack in self._racks:
            rack.known = True

    def _wants(self, follower: Follower, model: Model | None) -> bool:
        """Whether there is something to bring; what goes wrong with one delays no other."""
        if follower.is_settled(model):
            return False
        try:
            return follower.follow(model if model and self._may_serve(model) else None)
        except (NotInRegistry, CallFailed) as error:
            follower.slot.consider(follower.slot.candidate, str(error))
            return False

    def _may_serve(self, model: Model) -> bool:
        return model.name in self.named or not model.kept_out

    def _add(self, names: Collection[str]) -> list[Slot[Any, Any]]:
        added = [slot for rack in self._racks for slot in rack.add(names)]
        followers = [follower for slot in added for follower in self._both(slot)]
        self.followers = [*self.followers, *followers]
        return added

    def _drop(self, names: Collection[str]) -> None:
        gone = {slot.name for rack in self._racks for slot in rack.drop(names)}
        if gone:
            self.followers = [f for f in self.followers if f.slot.name not in gone]
        self.names = {follower.slot.name for follower in self.followers}

    def _both(self, slot: Slot[Any, Any]) -> list[Follower]:
        """Those of a slot's channel and of its challenger's."""
        means = self._means
        trial = Trial(slot, means.settings.challenger(slot.name))
        slot.try_beside(trial)
        store = ReleaseStore(
            means.registry, means.artifacts, means.settings, means.budget, means.office
        )

        def follower(
            held: Slot[Any, Any], tried: Trial[Any, Any] | None, serving: State
        ) -> Follower:
            reporter = Reporter(held, means.ledger, means.notes, serving)
            return Follower(
                held, tried, means.registry, store, reporter,
                means.settings, means.shifted, means.jury,
            )  # fmt: skip

        return [follower(slot, None, "live"), follower(trial.slot, trial, "challenger")]
