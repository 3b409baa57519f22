"""Brings one slot to what its channel points to."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from sqlite3 import Error as LedgerError
from threading import Lock
from typing import Any

from bentos.admission.cache import Artifacts
from bentos.admission.columns import PIN_TAG, admit_by_schema
from bentos.admission.judge import admit
from bentos.flavors.mlmodel import MLmodel
from bentos.promotion.channel import Memory, look
from bentos.promotion.ledger import Ledger, What
from bentos.promotion.notes import Note, Notes, State
from bentos.promotion.pauses import backoff
from bentos.refusal import Refusal
from bentos.registry.client import Model, NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.trial import TRAFFIC_TAG, Trial
from bentos.settings import Settings

log = logging.getLogger(__name__)

PASSING = (RegistryUnavailable, StoreUnavailable, FileMissing, NotInRegistry)


class Follower:
    """Follows the channel of one slot.

    `follow` is called by the watcher's thread, `bring` by a thread that may take its time.
    """

    def __init__(
        self,
        slot: Slot[Any, Any],
        trial: Trial[Any, Any] | None,
        registry: Registry,
        artifacts: Artifacts,
        ledger: Ledger,
        notes: Notes,
        settings: Settings,
    ) -> None:
        self.slot = slot
        self._trial = trial  # the trial whose challenger this slot holds
        self._registry = registry
        self._artifacts = artifacts
        self._ledger = ledger
        self._notes = notes
        self._settings = settings
        self._memory = ledger.recall(slot.name, str(slot.channel))
        self._target: Version | None = None
        self._refused: Version | None = None
        self._failures = 0
        self._not_before = 0.0
        self._bringing = Lock()

    def restore(self) -> str | None:
        """Serve the last good version from disk, whatever the registry and the store are doing.

        Returns its flavor. A challenger waits until the registry says that it is one still.
        """
        if self._trial:
            return None
        version = self._artifacts.last_good(self.slot.name)
        if version is None:
            return None
        try:
            release = self._admit(version)
        except (Refusal, *PASSING) as error:
            log.warning("%s was the last good version, but cannot serve now: %s", version, error)
            return None
        self._swap(release, "restore", "the last good version on disk")
        return MLmodel(self._artifacts.folder(version)).flavor

    def follow(self, model: Model | None) -> bool:
        """Look where the channel points now. Returns whether there is something to bring."""
        if model is None:
            return self._nothing(f"{self.slot.name} is not in the registry")
        memory = look(
            model, self.slot.channel, self._memory, lambda: self._registry.versions(model.name)
        )
        if not memory.order:
            self._memory = memory
            return self._nothing(f"no version of {model.name} holds the {self.slot.channel}")
        if memory != self._memory or self._target is None:
            self._target = self._registry.version(model.name, memory.order[-1])
            self._keep(memory)
        self.slot.promised = True
        if self._trial:  # its share may be set on the version at any time
            self._target = self._registry.version(model.name, memory.order[-1])
            self._trial.adjust(self._target.tag(TRAFFIC_TAG))
        self._overtake(self._target)
        return self._wanted(self._target)

    def bring(self) -> None:
        """Admit the target and swap to it, or note why not; nothing if nothing is wanted."""
        with self._bringing:
            target = self._target
            if target is None or not self._wanted(target):
                return
            previous = self.slot.previous
            if previous and _same(previous.version, target):
                again = replace(previous, version=target)  # its tags name who promoted it now
                self._swap(again, "rollback", f"the {self.slot.channel} points to it again")
                return
            self.slot.candidate = target
            self._note(target, "admitting")
            try:
                self._try(target)
            except PASSING as error:
                self._put_off(target, str(error))
            except Exception:
                log.exception("bringing %s failed", target)
                self._put_off(target, "an internal error; see the service's log")

    def _try(self, target: Version) -> None:
        try:
            release = self._admit(target)
        except Refusal as refusal:
            self._refuse(target, refusal)
        else:
            self._failures = 0
            if release.files and not target.tag(PIN_TAG):
                self._registry.set_tag(target, PIN_TAG, release.files)
            if self._target and _same(self._target, target):
                self._swap(release, "swap", f"the {self.slot.channel} points to it")

    def retry(self) -> None:
        """Forget refusals and back-off, so that the next look tries again."""
        self._refused = None
        self._not_before = 0.0

    def _overtake(self, target: Version | None) -> None:
        """Let a candidate go that the channel points to no more."""
        candidate = self.slot.candidate
        if candidate and not (target and _same(candidate, target)):
            self.slot.candidate = None
            self._note(candidate, "retired", f"the {self.slot.channel} moved on before it served")

    def _wanted(self, target: Version) -> bool:
        live = self.slot.live
        if live and _same(live.version, target):
            self.slot.candidate, self.slot.trouble = None, ""
            return False
        if self._refused and _same_promotion(self._refused, target):
            return False
        return time.monotonic() >= self._not_before

    def _admit(self, version: Version) -> Release:
        admission, contract = self._settings.admission, self.slot.contract
        for last_try in (False, True):
            folder = self._artifacts.folder(version)
            if not folder.is_dir():
                uri = self._registry.artifact_uri(version)
                source = open_source(self._registry, self._settings.registry, uri)
                folder = self._artifacts.fetch(version, source)
            try:
                compiled = self._artifacts.compiled(version)
                if contract.by_schema:
                    return admit_by_schema(version, folder, admission, compiled)
                return admit(version, folder, contract, admission, compiled)
            except Refusal as refusal:
                if not folder.is_dir():  # by another process, so that the reason may be wrong
                    raise StoreUnavailable(f"{folder} was removed meanwhile") from refusal
                if refusal.reason != "digest" or last_try:
                    raise
                log.warning("%s: %s; fetching it once more", version, refusal)
                self._artifacts.discard(version)
        raise AssertionError("unreachable")

    def _swap(self, release: Release, what: What, why: str) -> None:
        before = self.slot.live
        release = replace(release, since=datetime.now(UTC))
        self._record(what, release.version, why)
        self.slot.swap(release, self._settings.admission.keep_previous)
        self.slot.observer.swapped(str(self.slot.channel), before, release, what)
        log.info("%s serves (%s, %s): %s", release, what, release.runs, why)
        state: State = "challenger" if self._trial else "live"
        self._note(release.version, state, "; ".join(release.warnings))
        if before and before.version.version != release.version.version:
            self._note(before.version, "retired", f"replaced by {release}")
        self._keep_on_disk(release)

    def _keep_on_disk(self, release: Release) -> None:
        keep = [kept.version for kept in (self.slot.live, self.slot.previous) if kept]
        try:
            if not self._trial:
                self._artifacts.remember(release.version)
            self._artifacts.evict(self.slot.name, keep)
        except (OSError, StoreUnavailable) as error:
            log.warning("%s serves, but a restart may not find it on disk: %s", release, error)

    def _refuse(self, version: Version, refusal: Refusal) -> None:
        self._refused = version
        self._record("refusal", version, str(refusal))
        self.slot.refuse(version, refusal)
        self.slot.observer.refused(self.slot.name, refusal)
        self._note(version, "refused", str(refusal))
        self._artifacts.discard(version)
        log.warning("%s is refused; %s goes on serving: %s", version, self.slot.live, refusal)

    def _note(self, version: Version, state: State, reason: str = "") -> None:
        self._notes.put(Note(version, state, reason, challenger=self._trial is not None))

    def _put_off(self, target: Version, trouble: str) -> None:
        self._failures += 1
        longest = self._settings.registry.max_backoff_seconds
        seconds = backoff(self._failures, 1.0, longest)
        self._not_before = time.monotonic() + seconds
        self.slot.trouble = trouble
        self._note(target, "admitting", trouble)
        log.warning("%s waits %.1f s: %s", target, seconds, trouble)

    def _record(self, what: What, version: Version, why: str) -> None:
        try:
            self._ledger.record(what, str(self.slot.channel), version, why)
        except LedgerError as error:
            log.error("the ledger misses %s of %s (%s): %s", what, version, why, error)

    def _keep(self, memory: Memory) -> None:
        self._memory = memory
        try:
            self._ledger.remember(self.slot.name, str(self.slot.channel), memory)
        except LedgerError as error:
            log.error("the order of promotions of %s is not kept: %s", self.slot.name, error)

    def _nothing(self, trouble: str) -> bool:
        self._target = None
        self._overtake(None)
        self.slot.trouble, self.slot.promised = trouble, False
        gone = self.slot.live
        if gone and self.slot.vacates:
            self._vacate(gone, trouble)
        return False

    def _vacate(self, gone: Release, why: str) -> None:
        self._record("vacated", gone.version, why)
        self.slot.vacate()
        self.slot.observer.vacated(str(self.slot.channel), gone)
        self._note(gone.version, "retired", why)
        try:
            if not self._trial:
                self._artifacts.forget(self.slot.name)
        except StoreUnavailable as error:
            log.warning("a restart may find %s on disk again: %s", gone, error)


def _same(one: Version, other: Version) -> bool:
    """The same version: a model that was deleted and made anew counts from 1 again."""
    return (one.version, one.creation_timestamp) == (other.version, other.creation_timestamp)


def _same_promotion(one: Version, other: Version) -> bool:
    """The same version, not promoted again since."""
    return _same(one, other) and one.last_updated_timestamp == other.last_updated_timestamp
