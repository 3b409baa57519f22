"""Notes on the versions in the registry: what serves, what was refused, on how many replicas.

A process first changes its own record (see `replicas`), then the tags of the version, which are
derived from the records of all. So many may write at once: the last one to write derives them from
what all have written. Those of one machine write one after the other: mostly, the first has
written all that there is to say.
"""

import logging
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

import msgspec

from bentos.promotion import replicas
from bentos.promotion.ledger import now
from bentos.promotion.replicas import Record, ReplicaLocks, Said, records
from bentos.promotion.tag_cleaner import TagCleaner
from bentos.promotion.tag_writer import TagWriter
from bentos.registry.client import (
    CallFailed,
    Model,
    NotInRegistry,
    Registry,
    RegistryUnavailable,
    Version,
)
from bentos.registry.tags import RECORD_TAG, State

log = logging.getLogger(__name__)

BRIEF = 1.0  # seconds: a check that ends sooner is not told of, only what came of it
HOLDING = ("live", "challenger", "admitting")  # what goes on; the most important first
Key = tuple[str, str]


@dataclass(frozen=True)
class Note:
    """What this process says of a version that its channel pointed to."""

    version: Version
    state: State
    reason: str = ""
    channel: str = ""
    runs: str = ""
    put_at: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> Key:
        """Model and version."""
        return self.version.name, self.version.version


class Notes:
    """The notes of one process, written when the registry can be reached. Thread-safe."""

    def __init__(
        self,
        registry: Registry,
        locks: ReplicaLocks,
        writer: TagWriter,
        brief: float = BRIEF,
    ) -> None:
        self._registry = registry
        self._locks = locks
        self._brief = brief
        self._writer = writer
        self._cleaner = TagCleaner(registry, locks, writer)
        self._pending: dict[Key, Note] = {}
        self._held: dict[Key, dict[str, Note]] = {}  # what goes on, by channel
        self._recorded: dict[str, dict[str, Said]] = {}
        self._lost: list[str] = []  # models on which our record was not seen any more
        self._beaten = datetime.now(UTC)
        self._lock = Lock()
        self._flushing = Lock()

    def put(self, note: Note) -> None:
        """Say something of a version; an older word on it that was not yet written is dropped."""
        with self._lock:
            held = self._held.setdefault(note.key, {})
            if note.state in HOLDING:
                held[note.channel] = note
            else:
                held.pop(note.channel, None)
            best = min(held.values(), key=lambda one: HOLDING.index(one.state), default=note)
            hidden = note.state == "refused" and best.state != "live"
            self._pending[note.key] = note if hidden else best
            if not held:
                del self._held[note.key]

    def see(
        self, models: Mapping[str, Model], followed: Collection[str], whole: bool = True
    ) -> None:
        """See what others left behind, from a look (at all models if `whole`); asks nobody."""
        if self._cleaner.see(models, followed, whole):
            held = [name for name, said in self._recorded.items() if said]
            self._lost = [name for name in held if self._cleaner.lacks(name)]

    def flush(self) -> None:
        """Write what is pending. What fails is kept for the next time."""
        with self._flushing:  # of two threads, the one with the older word could write last
            self._beat()
            self._record_lost()
            self._write_pending()
            self._cleaner.work()

    def close(self) -> None:
        """Take back what this process says, if the registry can be reached."""
        try:
            for name, said in list(self._recorded.items()):
                if said:
                    self._registry.delete_model_tag(name, RECORD_TAG + self._locks.me)
                    self._cleaner.clean(name)
        except (RegistryUnavailable, NotInRegistry) as error:
            log.warning("the registry still counts this process as a replica: %s", error)
            return
        self._locks.close()

    def _write_pending(self) -> None:
        """Write all; a note that the registry does not take delays no other."""
        with self._lock:
            taken = [note for note in self._pending.values() if not self._may_end_soon(note)]
            for note in taken:
                del self._pending[note.key]
        failed: list[CallFailed] = []
        for place, note in enumerate(taken):
            try:
                self._write(note)
            except NotInRegistry:
                log.warning("%s has left the registry; its notes are dropped", note.version)
            except CallFailed as error:
                if error.final:
                    log.warning("the notes of %s are dropped: %s", note.version, error)
                    continue
                self._keep([note])
                failed.append(error)
            except RegistryUnavailable:
                self._keep(taken[place:])
                raise
        if failed:
            raise failed[0]

    def _may_end_soon(self, note: Note) -> bool:
        begun = note.state == "admitting" and not note.reason
        return begun and time.monotonic() - note.put_at < self._brief

    def _keep(self, notes: list[Note]) -> None:
        with self._lock:
            for note in notes:
                self._pending.setdefault(note.key, note)

    def _beat(self) -> None:
        """Say that this process lives, on the first of the models that it serves."""
        if datetime.now(UTC) - self._beaten < replicas.HEARTBEAT:
            return
        for name in sorted(name for name, said in self._recorded.items() if said):
            with suppress(NotInRegistry):  # a deleted model may go on serving
                self._record(name, again=True)
                break
        self._beaten = datetime.now(UTC)

    def _record_lost(self) -> None:
        """Say once more what somebody removed."""
        while self._lost:
            with suppress(NotInRegistry):
                self._record(self._lost[-1], again=True)
                self._cleaner.due(self._lost[-1])
            self._lost.pop()

    def _write(self, note: Note) -> None:
        self._record(note.version.name)
        with self._locks.writing():
            self._write_tags(note)

    def _write_tags(self, note: Note) -> None:
        name, number = note.key
        version, model = self._registry.version(name, number), self._registry.model(name)
        if note.state in HOLDING and self._locks.me not in records(model):
            self._record(name, again=True)  # the model was made anew since
            model = self._registry.model(name)
        channel = note.channel if note.state == "live" else ""
        known = self._cleaner.living(model)
        changed = self._writer.write(version, known, note.state, note.reason, channel)
        if note.state == "live":
            self._writer.point(model, number)
        if changed and note.state in ("live", "retired"):  # else another process is at it
            self._cleaner.due(name)  # for those that it leaves behind

    def _record(self, name: str, again: bool = False) -> None:
        """Say on the registered model what this process does with its versions."""
        with self._lock:
            said = self._said(name)
        if said == self._recorded.get(name, {}) and not again:
            return
        key = RECORD_TAG + self._locks.me
        if said:
            value = msgspec.json.encode(Record(now(), said)).decode()
            self._registry.set_model_tag(name, key, value)
        else:
            with suppress(NotInRegistry):
                self._registry.delete_model_tag(name, key)
        self._recorded[name] = said

    def _said(self, name: str) -> dict[str, Said]:
        said: dict[str, Said] = {}
        for (model, version), held in self._held.items():
            if model == name:
                best = min(held.values(), key=lambda one: HOLDING.index(one.state))
                said[version] = Said(best.state, best.runs)
        return said
