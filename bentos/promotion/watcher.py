"""One loop a process, for all slots: what is promoted is noticed here.

Polling is the truth: one call to the registry tells of every model. A webhook, or `/reload`, is
only a reason to look at once.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
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
from bentos.promotion.followed import Followed, Means
from bentos.promotion.jury import Jury
from bentos.promotion.ledger import Ledger
from bentos.promotion.notes import Notes
from bentos.promotion.opinions import Opinions
from bentos.promotion.pauses import longest, pause
from bentos.promotion.postgres import SharedAway
from bentos.promotion.references import References
from bentos.promotion.relayed import Relayed
from bentos.promotion.replicas import ReplicaLocks
from bentos.promotion.shared import Shared
from bentos.promotion.tag_writer import TagWriter
from bentos.promotion.view import View
from bentos.registry.client import (
    Registry,
    RegistryUnavailable,
)
from bentos.serving.budget import Budget
from bentos.serving.observer import Observer
from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
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
            self.fleet = Fleet(self.ledger, shared, locks.me, self._slots, self._heard)
        findings = Findings(self.ledger.transaction)
        self.jury = Jury(
            findings, locks.me, lambda: self.followed.cases, lambda: self._loop.wake()
        )
        self.notes = Notes(self.registry, locks, TagWriter(self.registry, settings.live_alias))
        self.artifacts = Artifacts(settings.home / "cache", settings.cache)
        self.budget = Budget(settings.open_bytes)
        counts = settings.home / "drift"
        places = References(self.artifacts, counts).of
        self.drifts = Drifts(self._slots, places, counts, settings.drift)
        self.opinions = Opinions(self._slots, settings.promotion.watch)
        self.followed = Followed(slots, racks, self._means())
        self.relayed = Relayed(settings.tracking_uri, there.timeout_seconds, self._heard_of_change)
        named, stems = self.followed.named, self.followed.stems
        self.view = View.of(self.registry, settings, named, stems, self.relayed)
        self.looked_at = 0.0  # the moment that the last good look shows, by time.monotonic()
        self._asked = 0.0
        self._looking = Lock()
        self._loop = self._looks()
        self._admissions = Admissions(ended=self._ended)

    def _slots(self) -> list[Slot[Any, Any]]:
        return self.followed.slots

    def _means(self) -> Means:
        return Means(
            self.settings, self.registry, self.artifacts, self.budget, self.office,
            self.ledger, self.notes, self.jury, self.drifts.shifted,
        )  # fmt: skip

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
            news_in=self.view.news_in,
        )

    @property
    def trouble(self) -> str:
        """Why the last look failed; empty before the first."""
        return self._loop.trouble if self._loop.failures else ""

    def start(self) -> None:
        """Serve the last good versions from disk, and begin to look."""
        self.followed.promise(self.artifacts.names())
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
            self.followed.retry()

    def look(self) -> None:
        """One look at everything in the registry for all slots. Raises RegistryUnavailable."""
        self.view.expire()
        self._look()

    def _look(self) -> None:
        with self._looking:
            models = self.view.look()
            if self._loop.failures:  # what waited for the registry need not wait longer
                self.followed.hurry()
            self.followed.look(models, self._admissions.begin)
            self.notes.see(models, self.followed.names, self.view.is_whole)
        self.budget.rest(self.settings.processes.idle_seconds)
        self.followed.looked_over()
        self.looked_at = self.view.as_of
        self._loop.succeed()

    def _begin(self) -> None:
        self.followed.restore()
        settle()

    def _look_and_note(self) -> None:
        self._look()
        self.observer.weighed(self.followed.weights)
        self._write_notes()

    def _write_notes(self) -> None:
        try:
            self.notes.flush()
        except RegistryUnavailable as error:
            log.warning("notes are put off: %s", error)
