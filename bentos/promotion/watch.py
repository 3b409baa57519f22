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

from bentos.promotion.channel import Promotions
from bentos.promotion.jury import Case, Jury
from bentos.promotion.ledger import now
from bentos.promotion.promoter import moment
from bentos.promotion.rejected import same
from bentos.refusal import Reason, Refusal
from bentos.registry.client import Model, NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.tags import WITHDRAWN_TAG
from bentos.serving.comparison import failing, refusing, slower
from bentos.serving.evidence import Evidence
from bentos.serving.record import Record
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
    """Over one slot. `shifted` says how a release answers otherwise than another one did.

    What the others saw counts by the `jury`.
    """

    tag = WITHDRAWN_TAG

    def __init__(
        self,
        slot: Slot[Any, Any],
        registry: Registry,
        settings: WatchSettings,
        shifted: Callable[[Release, Release], str],
        jury: Jury,
    ) -> None:
        self._slot = slot
        self._registry = registry
        self._settings = settings
        self._shifted = shifted
        self._jury = jury
        self._forgiven = ""  # a tag that looks may still show
        self._shown = False  # whether the last look showed one

    @property
    def ongoing(self) -> bool:
        """Whether there is a release to watch, and one to go back to."""
        return on_probation(self._slot, self._settings)

    @property
    def case(self) -> Case | None:
        """What serves for the first while, as the calls here show it; None: no such.

        A process that came after the promotion has calls to show, and nothing to compare with.
        """
        live, previous = self._slot.live, self._slot.previous
        if live is None:
            return None
        moved = moment(live.version.last_updated_timestamp)
        if not (self.ongoing or self._is_new(moved)):
            return None
        before = previous.record if previous else Record()
        judge = self._worse if self.ongoing else None
        return Case(self.subject(live.version), Evidence(live.record, before), judge)

    def subject(self, version: Version) -> str:
        """What a promotion of a version is called among all processes."""
        created, moved = self._times(version)
        return f"{version} on the {self._slot.channel}, made {created}, moved {moved}"

    def evidence(self) -> str:
        """Why what serves is worse than what did; else nothing."""
        live, previous, wanted, case = (
            self._slot.live, self._slot.previous, self._settings, self.case
        )  # fmt: skip
        seen = self._jury.against(case) if case else ""
        if seen or not (self.ongoing and live and previous):
            return seen
        if wanted.refusals:
            seen = refusing(live.record, live.disputed, previous.version.version)
        return seen or (self._shifted(live, previous) if wanted.distribution else "")

    def _is_new(self, since: datetime) -> bool:
        return datetime.now(UTC) - since < timedelta(seconds=self._settings.seconds)

    def _worse(self, seen: Evidence) -> str:
        found = failing(seen.new, seen.old) if self._settings.errors else ""
        return found or (slower(seen.new, seen.old) if self._settings.latency else "")

    def against(self) -> Refusal | None:
        """Why what serves should not: its process fails, or it does worse than the one before."""
        if self._slot.live and self._slot.live.unfit:
            return self._slot.live.unfit
        evidence = self.evidence()
        return Refusal("watch", evidence) if evidence else None

    def withdrawn(self, model: Model, version: Version) -> Refusal | None:
        """Why a version was withdrawn since it was promoted, by whatever process."""
        tag = model.tag(self.tag + version.version)
        if not tag or tag == self._forgiven:
            return None
        try:
            said = msgspec.json.decode(tag, type=Withdrawn)
        except msgspec.DecodeError:
            return None
        if (said.created, said.moved) != self._times(version):
            return None
        return Refusal(said.reason, said.evidence)

    def note(self, version: Version, refusal: Refusal) -> None:
        """Say to all processes that a version is withdrawn."""
        when = self._times(version)
        said = Withdrawn(*when, refusal.message[:MOST_EVIDENCE], now(), refusal.reason)
        tag = msgspec.json.encode(said).decode()
        try:
            self._registry.set_model_tag(version.name, self.tag + version.version, tag)
        except (NotInRegistry, RegistryUnavailable) as error:
            log.warning("other processes do not learn that %s is withdrawn: %s", version, error)

    def lifted(self, model: Model, seen: Promotions) -> bool:
        """Whether another process forgot that the version was withdrawn, which this one missed."""
        shown, self._shown = self._shown, bool(model.tag(f"{self.tag}{seen.target}"))
        return shown and not self._shown

    def forgive(self, model: Model, version: Version) -> None:
        """Forget that a version was withdrawn: somebody promoted it anew."""
        key = self.tag + version.version
        self._jury.forget(self.subject(version))
        if tag := model.tag(key):
            self._forgiven = tag
            with suppress(NotInRegistry):  # another process was faster
                self._registry.delete_model_tag(version.name, key)

    def _times(self, version: Version) -> tuple[int, int]:
        """When a version was made and promoted, by the registry."""
        return version.creation_timestamp, version.last_updated_timestamp
