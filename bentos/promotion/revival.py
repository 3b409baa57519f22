"""Brings back what served before, where the version that is promoted cannot serve."""

import logging
from typing import Any

from bentos.promotion.channel import served_last
from bentos.promotion.rejected import same
from bentos.promotion.release_store import PASSING, ReleaseStore
from bentos.promotion.transitions import Transitions
from bentos.refusal import Refusal
from bentos.registry.client import Registry, Version
from bentos.registry.digests import signed
from bentos.serving.slot import Slot

log = logging.getLogger(__name__)


class Revival:
    """For one slot."""

    def __init__(
        self,
        slot: Slot[Any, Any],
        registry: Registry,
        store: ReleaseStore,
        transitions: Transitions,
    ) -> None:
        self._slot = slot
        self._registry = registry
        self._store = store
        self._transitions = transitions

    def from_disk(self) -> None:
        """Serve the last good version, whatever the registry and the store are doing."""
        version = self._store.artifacts.last_good(self._slot.name)
        if version is None:
            return
        try:
            release = self._store.admit(self._slot.contract, version)
        except (Refusal, *PASSING) as error:
            log.warning("%s was the last good version, but cannot serve now: %s", version, error)
            return
        self._transitions.swap(release, "restore", "the last good version on disk")

    def from_registry(self, target: Version | None, why: str) -> bool:
        """Serve what served last, unless that is the target; `why` it does not serve itself.

        Returns whether something serves now. Raises what passes.
        """
        versions = self._registry.versions(self._slot.name)
        return any(
            self._revive(version, why)
            for version in served_last(versions, self._slot.channel)
            if not (target and same(target, version))
        )

    def _revive(self, version: Version, why: str) -> bool:
        try:
            release = self._store.admit(self._slot.contract, signed(self._registry, version))
        except Refusal as refusal:
            log.warning("%s served last, but is refused now: %s", version, refusal)
            return False
        self._transitions.swap(release, "restore", f"it served last; {why}")
        return True
