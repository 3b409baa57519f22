"""A service as the console shows it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from sqlite3 import Error as DatabaseError
from typing import Any

from bentos.promotion.ledger import Ledger
from bentos.serving.slot import Slot
from bentos.web.auth.gate import Gate
from bentos.web.auth.guard import Guard
from bentos.web.console import overview
from bentos.web.console.asking import Asking
from bentos.web.console.counts import Counts, total
from bentos.web.console.ring import DAY, MINUTES, Span
from bentos.web.console.traffic import Route, Traffic, key, trial_key
from bentos.web.following import Following

Askings = Callable[[Slot[Any, Any]], Asking | None]


class Part:
    """One service: its slots, their traffic and their history.

    `routes` of the metrics are those of one model alone. The guard and the traffic come later.
    """

    guard: Guard

    def __init__(
        self,
        name: str,
        following: Following,
        gate: Gate,
        asking: Askings,
        routes: Callable[[Slot[Any, Any]], Iterable[Route]],
    ) -> None:
        self.name = name
        self.following = following
        self.gate = gate
        self.asking = asking
        self.routes = routes
        self.traffic: Traffic | None = None
        self.stacked = False  # whether it is one of several behind one port

    @property
    def slots(self) -> list[Slot[Any, Any]]:
        """What it serves."""
        return self.following.slots

    @property
    def ledger(self) -> Ledger | None:
        """What was promoted when, once the service has started."""
        return self.following.watcher.ledger if self.following.watcher else None

    @property
    def trouble(self) -> str:
        """Why the last look at the registry failed."""
        watcher = self.following.watcher
        return watcher.trouble if watcher else "the service is still starting"

    def counts(self, span: Span, model: str = "") -> Mapping[str, Sequence[Counts]]:
        """The traffic of a span by `service/model`; none where it cannot be read."""
        return self._read(span, key(self.name, model) if model else "")

    def _read(self, span: Span, name: str) -> Mapping[str, Sequence[Counts]]:
        with suppress(DatabaseError, OSError):
            if self.traffic:
                return self.traffic.read().read(span, time.time(), name)
        return {}

    def cards(self) -> list[overview.Card]:
        """All its models."""
        counts, promoters = self.counts(MINUTES), self._promoters()
        return [self._card(slot, counts, promoters) for slot in self.slots]

    def card(self, slot: Slot[Any, Any]) -> overview.Card:
        """One of them."""
        return self._card(slot, self.counts(MINUTES, slot.name), self._promoters())

    def _card(
        self,
        slot: Slot[Any, Any],
        counts: Mapping[str, Sequence[Counts]],
        promoters: Mapping[tuple[str, str], str],
    ) -> overview.Card:
        places, trial = counts.get(key(self.name, slot.name), ()), Counts()
        if tried := trial_key(self.name, slot):
            trial = total(self._read(DAY, tried).get(tried, ()))
        watcher = self.following.watcher
        fleet = watcher.fleet if watcher else None
        return overview.card(self.name, slot, self.gate.settings, places, trial, promoters, fleet)

    def _promoters(self) -> Mapping[tuple[str, str], str]:
        with suppress(DatabaseError):
            return overview.promoters(self.ledger)
        return {}
