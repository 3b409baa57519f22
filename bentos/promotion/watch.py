"""The watch over a release that has just begun to serve: worse than the one before, it goes back.

What one process takes back, all do: a hidden tag says so, for that promotion alone. It is on the
registered model, so every look brings it, also to a process that has no release to go back to.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bentos.promotion.ledger import now
from bentos.promotion.rejected import same
from bentos.refusal import Reason, Refusal
from bentos.registry.client import Model, NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.tags import WITHDRAWN_TAG
from bentos.serving.comparison import failing, refusing, slower
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import WatchSettings

log = logging.getLogger(__name__)

MOST_EVIDENCE = 1000  # characters


class Withdrawn(msgspec.Struct, frozen=True):
    """What the tag says: which promotion, by the version's times, why, and when that was found."""

    created: int
    moved: int
    evidence: str
    at: str = ""
    reason: Reason = "watch"


def on_probation(slot: Slot[Any, Any], settings: WatchSettings) -> bool:
    """Whether a slot has a release to watch, and one to go back to."""
    live, previous = slot.live, slot.previous
    if not (live and previous) or same(live.version, previous.version):
        return False
    return datetime.now(UTC) - live.since < timedelta(seconds=settings.seconds)


class Watch:
    """Over one slot. `shifted` says how a release answers otherwise than another one did."""

    def __init__(
        self,
        slot: Slot[Any, Any],
        registry: Registry,
        settings: WatchSettings,
        shifted: Callable[[Release, Release], str],
    ) -> None:
        self._slot = slot
        self._registry = registry
        self._settings = settings
        self._shifted = shifted
        self._forgiven = ""  # a tag that looks may still show

    @property
    def ongoing(self) -> bool:
        """Whether there is a release to watch, and one to go back to."""
        return on_probation(self._slot, self._settings)

    def evidence(self) -> str:
        """Why what serves is worse than what did; else nothing."""
        live, previous, wanted = self._slot.live, self._slot.previous, self._settings
        if not (self.ongoing and live and previous):
            return ""
        seen = failing(live.record, previous.record) if wanted.errors else ""
        if not seen and wanted.refusals:
            seen = refusing(live.record, live.disputed, previous.version.version)
        if not seen and wanted.latency:
            seen = slower(live.record, previous.record)
        return seen or (self._shifted(live, previous) if wanted.distribution else "")

    def against(self, compared: bool) -> Refusal | None:
        """Why what serves should not: its process fails, or it does worse than the one before."""
        if self._slot.live and self._slot.live.unfit:
            return self._slot.live.unfit
        evidence = self.evidence() if compared else ""
        return Refusal("watch", evidence) if evidence else None

    def withdrawn(self, model: Model, version: Version) -> Refusal | None:
        """Why a version was withdrawn since it was promoted, by whatever process."""
        tag = model.tag(WITHDRAWN_TAG + version.version)
        if not tag or tag == self._forgiven:
            return None
        try:
            said = msgspec.json.decode(tag, type=Withdrawn)
        except msgspec.DecodeError:
            return None
        when = version.creation_timestamp, version.last_updated_timestamp
        if (said.created, said.moved) != when:
            return None
        return Refusal(said.reason, said.evidence)

    def note(self, version: Version, refusal: Refusal) -> None:
        """Say to all processes that a version is withdrawn."""
        when = version.creation_timestamp, version.last_updated_timestamp
        said = Withdrawn(*when, refusal.message[:MOST_EVIDENCE], now(), refusal.reason)
        tag = msgspec.json.encode(said).decode()
        try:
            self._registry.set_model_tag(version.name, WITHDRAWN_TAG + version.version, tag)
        except (NotInRegistry, RegistryUnavailable) as error:
            log.warning("other processes do not learn that %s is withdrawn: %s", version, error)

    def forgive(self, model: Model, version: Version) -> None:
        """Forget that a version was withdrawn: somebody promoted it anew."""
        key = WITHDRAWN_TAG + version.version
        if tag := model.tag(key):
            self._forgiven = tag
            with suppress(NotInRegistry):  # another process was faster
                self._registry.delete_model_tag(version.name, key)
