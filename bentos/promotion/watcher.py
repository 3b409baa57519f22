"""One loop a process, for all slots: what is promoted is noticed here.

Polling is the truth: one call to the registry tells of every model. A webhook, or `/reload`, is
only a reason to look at once.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import Any

from bentos.admission.cache import Artifacts
from bentos.admission.office import Office
from bentos.drift.counting import Drifts
from bentos.loop import Loop
from bentos.process import settle
from bentos.promotion.admissions import Admissions
from bentos.promotion.findings import Findings
from bentos.promotion.fleet import Fleet
from bentos.promotion.follower import Follower
from bentos.promotion.jury import Case, Jury
from bentos.promotion.ledger import Ledger
from bentos.promotion.notes import Notes
from bentos.promotion.opinions import Opinions
from bentos.promotion.pauses import longest, pause
from bentos.promotion.postgres import SharedAway
from bentos.promotion.references import References
from bentos.promotion.relayed import Relayed
from bentos.promotion.release_store import ReleaseStore
from bentos.promotion.replicas import ReplicaLocks
from bentos.promotion.reporter import Reporter
from bentos.promotion.shared import Shared
from bentos.promotion.tag_writer import TagWriter
from bentos.promotion.view import View
from bentos.registry.client import (
    CallFailed,
    Model,
    NotInRegistry,
    Registry,
    RegistryUnavailable,
)
from bentos.registry.tags import State
from bentos.serving.budget import Budget
from bentos.serving.observer import Observer
from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
from bentos.serving.trial import Trial
from bentos.settings import Settings

log = logging.getLogger(__name__)

ASKED_PAUSE = 0.25  # seconds; no more looks than that for those who ask
ASKED_SECONDS = 3.0


class Watcher:
    """Keeps slots at what their channels point to, from `start` to `stop`."""

    def __init__(
        self,
        slots: Sequence[Slot[Any, Any]],
        settings: Settings,
        observer: Observer,
        racks: Sequence[Rack[Any, Any]] = (),
        office: Office | None = None,
    ) -> None:
        self.settings = settings
        self.office = office or Office(settings.admission.niceness)
        self.observer = observer
        there = settings.registry
        self.registry = Registry(settings.tracking_uri, there.timeout_seconds, there.direct)
        url = settings.ledger.url.get_secret_value()
        shared = Shared(url) if url else None
        self.ledger = Ledger(settings.home / "ledger.db", shared)
        locks = ReplicaLocks(settings.home / "replicas")
        self.fleet: Fleet | None = None
        if shared:
            self.fleet = Fleet(self.ledger, shared, locks.me, self._own, self._heard)
        findings = Findings(self.ledger.transaction)
        self.jury = Jury(findings, locks.me, self._cases, lambda: self._loop.wake())
        self.notes = Notes(self.registry, locks, TagWriter(self.registry, settings.live_alias))
        self.artifacts = Artifacts(settings.home / "cache", settings.cache)
        self.budget = Budget(settings.open_bytes)
        self.racks = racks
        counts = settings.home / "drift"
        places = References(self.artifacts, counts).of
        self.drifts = Drifts(self._own, places, counts, settings.drift)
        self.opinions = Opinions(self._own, settings.promotion.watch)
        self.followers = [follower for slot in slots for follower in self._followers(slot)]
        self._named = {slot.name for slot in slots}  # whatever their tags say
        prefixes = [stem for rack in racks for stem in rack.stems]
        self.relayed = Relayed(settings.tracking_uri, there.timeout_seconds, self._heard_of_change)
        self.view = View.of(self.registry, settings, self._named, prefixes, self.relayed)
        self._looked_over: Mapping[str, Model] | None = None
        self._followed: set[str] = set()
        self.looked_at = 0.0  # the moment that the last good look shows, by time.monotonic()
        self._asked = 0.0
        self._looking = Lock()
        self._loop = self._looks()
        self._admissions = Admissions(ended=self._ended)

    def _looks(self) -> Loop:
        """One look after the other, from `start` to `stop`."""
        return Loop(
            "the registry",
            self._look_and_note,
            lambda failures: pause(self.settings.registry, failures, longest(self.settings)),
            (RegistryUnavailable,),
            "what serves goes on",
            begin=self._begin,
            looked=self.observer.looked,
            has_news=lambda: self.view.has_news,
        )

    @property
    def trouble(self) -> str:
        """Why the last look failed; empty before the first."""
        return self._loop.trouble if self._loop.failures else ""

    def start(self) -> None:
        """Serve the last good versions from disk, and begin to look."""
        for slot in self._add(self.artifacts.names()):
            slot.promise()
        for follower in self.followers:
            follower.slot.restore(ongoing=True)
        self.relayed.start()
        self._loop.start()
        self.drifts.start()
        self.opinions.start()
        self.jury.start()
        if self.fleet:
            self.fleet.start()

    def stop(self) -> None:
        """Stop looking; what serves goes on serving until the process ends."""
        self._loop.stop()
        self.relayed.stop()
        self.drifts.stop()
        self.opinions.stop()
        self.jury.stop(self.settings.registry.timeout_seconds)
        if self.fleet:
            self.fleet.stop(self.settings.registry.timeout_seconds)
        self._admissions.close()
        self.office.close()
        self._loop.stop(self.settings.registry.timeout_seconds)
        self.notes.close()
        self.view.close()
        self.registry.http.close()

    def wake(self) -> None:
        """Look at everything at once."""
        self.view.expire()
        self._loop.wake()

    async def looked_anew(self) -> None:
        """Return once a new look has begun and ended, or when none succeeds soon."""
        asked = time.monotonic()
        if asked - self._asked > ASKED_PAUSE:  # whoever asks for names that are none wakes nobody
            self._asked = asked
            self.wake()
        deadline = asked + ASKED_SECONDS
        while self.looked_at < asked and not self.trouble:
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(ASKED_PAUSE / 10)

    def reload(self, timeout: float = 60.0) -> None:
        """Look now, try refused versions again, and wait until what was found serves or not.

        The replicas that share the ledger do so within seconds. Raises RegistryUnavailable.
        """
        if self.fleet:
            try:
                self.fleet.ask_all()
            except SharedAway as error:
                log.warning("no other replica is asked to look: %s", error)
        self._retry()
        self.look()
        self._admissions.wait(timeout)
        self._write_notes()

    def _ended(self) -> None:
        """An admission ended, and another version may serve."""
        for one in (self._loop, self.opinions, self.drifts):
            one.wake()

    def _heard(self) -> None:
        """Another replica was asked to reload."""
        self._retry()
        self.wake()

    def _heard_of_change(self) -> None:
        self._loop.wake()

    def _retry(self) -> None:
        with self._looking:
            for follower in self.followers:
                follower.retry()

    def look(self) -> None:
        """One look at everything in the registry for all slots. Raises RegistryUnavailable."""
        self.view.expire()
        self._look()

    def _look(self) -> None:
        with self._looking:
            models = self.view.look()
            if self._loop.failures:  # what waited for the registry need not wait longer
                for follower in self.followers:
                    follower.hurry()
            if models is not self._looked_over:
                self._add([name for name, model in models.items() if self._may_serve(model)])
            for follower in self.followers:
                self._follow(follower, models.get(follower.slot.name))
            if models is not self._looked_over:
                self._drop([name for name, model in models.items() if self._may_serve(model)])
                self._followed = {follower.slot.name for follower in self.followers}
            self.notes.see(models, self._followed, self.view.is_whole)
            self._looked_over = models
        self.budget.rest(self.settings.processes.idle_seconds)
        for rack in self.racks:
            rack.known = True
        self.looked_at = self.view.as_of
        self._loop.succeed()

    def _may_serve(self, model: Model) -> bool:
        return model.name in self._named or not model.kept_out

    def _follow(self, follower: Follower, model: Model | None) -> None:
        """Follow one channel; what goes wrong there delays no other."""
        if follower.is_settled(model):
            return
        try:
            wanted = follower.follow(model if model and self._may_serve(model) else None)
        except (NotInRegistry, CallFailed) as error:
            follower.slot.consider(follower.slot.candidate, str(error))
            return
        if wanted:
            self._admissions.begin(follower)

    def _cases(self) -> list[Case]:
        """What is watched here."""
        return [case for follower in self.followers if (case := follower.case)]

    def _own(self) -> list[Slot[Any, Any]]:
        """All slots but those of challengers."""
        return [follower.slot for follower in self.followers if follower.slot.trial]

    def _followers(self, slot: Slot[Any, Any]) -> list[Follower]:
        """Those of a slot's channel and of its challenger's."""
        trial = Trial(slot, self.settings.challenger(slot.name))
        slot.try_beside(trial)
        store = ReleaseStore(
            self.registry, self.artifacts, self.settings, self.budget, self.office
        )
        pairs: tuple[tuple[Slot[Any, Any], Trial[Any, Any] | None, State], ...] = (
            (slot, None, "live"),
            (trial.slot, trial, "challenger"),
        )
        return [
            Follower(
                held,
                tried,
                self.registry,
                store,
                Reporter(held, self.ledger, self.notes, serving),
                self.settings,
                self.drifts.shifted,
                self.jury,
            )
            for held, tried, serving in pairs
        ]

    def _add(self, names: Collection[str]) -> list[Slot[Any, Any]]:
        added = [slot for rack in self.racks for slot in rack.add(names)]
        followers = [follower for slot in added for follower in self._followers(slot)]
        self.followers = [*self.followers, *followers]
        return added

    def _drop(self, names: Collection[str]) -> None:
        gone = {slot.name for rack in self.racks for slot in rack.drop(names)}
        if gone:
            self.followers = [f for f in self.followers if f.slot.name not in gone]

    def _begin(self) -> None:
        for follower in self.followers:
            self._restore(follower)
        for rack in self.racks:
            rack.known = bool(rack.slots)
        settle()

    def _look_and_note(self) -> None:
        self._look()
        self.observer.weighed(self._weights())
        self._write_notes()

    def _weights(self) -> dict[str, int]:
        """The bytes of the open models in this process, by name: live, previous, challenger."""
        weights: dict[str, int] = {}
        for slot in [follower.slot for follower in self.followers]:
            there = sum(one.weight for one in (slot.live, slot.previous) if one)
            weights[slot.name] = weights.get(slot.name, 0) + there
        return weights

    def _restore(self, follower: Follower) -> None:
        try:
            follower.restore()
        except Exception:
            log.exception("restoring %s from disk failed", follower.slot.name)
        finally:
            follower.slot.restore(ongoing=False)

    def _write_notes(self) -> None:
        try:
            self.notes.flush()
        except RegistryUnavailable as error:
            log.warning("notes are put off: %s", error)
