"""The watch over a release that has just begun to serve: worse than the one before, it goes back.

What one process takes back, all do: a hidden tag on the version says so, for that promotion alone.
"""

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bentos.promotion.rejected import same
from bentos.refusal import Refusal
from bentos.registry.client import NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.tags import WITHDRAWN_TAG
from bentos.serving.comparison import failing, slower
from bentos.serving.slot import Slot
from bentos.settings import WatchSettings

log = logging.getLogger(__name__)

ASKED_AGAIN = 5.0  # seconds between looks at what other processes found


class Withdrawn(msgspec.Struct, frozen=True):
    """What the tag says: which promotion, by the version's times, and why."""

    created: int
    moved: int
    evidence: str


class Watch:
    """Over one slot."""

    def __init__(self, slot: Slot[Any, Any], registry: Registry, settings: WatchSettings) -> None:
        self._slot = slot
        self._registry = registry
        self._settings = settings
        self._asked = 0.0

    @property
    def ongoing(self) -> bool:
        """Whether there is a release to watch, and one to go back to."""
        live, previous = self._slot.live, self._slot.previous
        if not (live and previous) or same(live.version, previous.version):
            return False
        return datetime.now(UTC) - live.since < timedelta(seconds=self._settings.seconds)

    def evidence(self) -> str:
        """Why what serves is worse than what did, as seen here or by others; else nothing."""
        live, previous = self._slot.live, self._slot.previous
        if not (self.ongoing and live and previous):
            return ""
        new, old = live.record, previous.record
        seen = self._settings.errors and failing(new, old)
        seen = seen or (self._settings.latency and slower(new, old))
        return seen or self._elsewhere(live.version)

    def against(self, compared: bool) -> Refusal | None:
        """Why what serves should not: its process fails, or it does worse than the one before."""
        if self._slot.live and self._slot.live.unfit:
            return self._slot.live.unfit
        evidence = self.evidence() if compared else ""
        return Refusal("watch", evidence) if evidence else None

    def withdrawn(self, version: Version) -> str:
        """Why a version was withdrawn since it was promoted; else nothing."""
        try:
            said = msgspec.json.decode(version.tag(WITHDRAWN_TAG), type=Withdrawn)
        except msgspec.DecodeError:
            return ""
        when = version.creation_timestamp, version.last_updated_timestamp
        return said.evidence if (said.created, said.moved) == when else ""

    def note(self, version: Version, evidence: str) -> None:
        """Say to all processes that a version is withdrawn."""
        said = Withdrawn(version.creation_timestamp, version.last_updated_timestamp, evidence)
        try:
            self._registry.set_tag(version, WITHDRAWN_TAG, msgspec.json.encode(said).decode())
        except (NotInRegistry, RegistryUnavailable) as error:
            log.warning("other processes do not learn that %s is withdrawn: %s", version, error)

    def forgive(self, version: Version) -> None:
        """Forget that a version was withdrawn: somebody promoted it anew."""
        if version.tag(WITHDRAWN_TAG):
            with suppress(NotInRegistry):
                self._registry.delete_tag(version, WITHDRAWN_TAG)

    def _elsewhere(self, version: Version) -> str:
        if time.monotonic() - self._asked < ASKED_AGAIN:
            return ""
        self._asked = time.monotonic()
        with suppress(NotInRegistry):
            return self.withdrawn(self._registry.version(version.name, version.version))
        return ""
