"""Notes on the versions in the registry: what serves, what was refused, on how many replicas.

Each process owns one tag, `serving.replica.<id>`; the state is derived from all of them. So many
processes may write at once: the last one to write derives it from what all have written.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Literal

from bentos.promotion.channel import STATE_TAG
from bentos.promotion.ledger import REPLICA, now
from bentos.registry.client import NotInRegistry, Registry, RegistryUnavailable, Version

log = logging.getLogger(__name__)

State = Literal["admitting", "live", "retired", "refused", "challenger"]
REASON_TAG = "serving.reason"
SINCE_TAG = "serving.since"
REPLICAS_TAG = "serving.replicas"
REPLICA_TAG = "serving.replica."
HEARTBEAT = timedelta(seconds=60)
STALE = 3 * HEARTBEAT


@dataclass(frozen=True)
class Note:
    """What this process has to say of a version."""

    version: Version
    state: State
    reason: str = ""
    challenger: bool = False


class Notes:
    """The notes of one process, written when the registry can be reached. Thread-safe."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pending: dict[tuple[str, str], Note] = {}
        self._live: dict[tuple[str, str], Note] = {}
        self._beaten = datetime.now(UTC)
        self._lock = Lock()
        self._flushing = Lock()

    def put(self, note: Note) -> None:
        """Say something of a version; an older word on it that was not yet written is dropped."""
        key = note.version.name, note.version.version
        with self._lock:
            if note.challenger and key in self._live:
                return  # what the champion says of it counts
            self._pending[key] = note
            if note.state == "live":
                self._live[key] = note
            elif note.state == "retired":
                self._live.pop(key, None)

    def flush(self) -> None:
        """Write what is pending. What fails is kept for the next time."""
        with self._flushing:  # of two threads, the one with the older word could write last
            self._beat()
            while note := self._next():
                self._write_or_keep(note)

    def close(self) -> None:
        """Take this process off the count of replicas, if the registry can be reached."""
        try:
            for note in list(self._live.values()):
                self._registry.delete_tag(note.version, REPLICA_TAG + REPLICA)
                self._count(self._fresh(note.version))
        except (RegistryUnavailable, NotInRegistry) as error:
            log.warning("the registry still counts this process as a replica: %s", error)

    def _next(self) -> Note | None:
        with self._lock:
            return self._pending.popitem()[1] if self._pending else None

    def _write_or_keep(self, note: Note) -> None:
        try:
            self._write(note)
        except NotInRegistry:
            log.warning("%s has left the registry; its notes are dropped", note.version)
        except RegistryUnavailable:
            with self._lock:
                self._pending.setdefault((note.version.name, note.version.version), note)
            raise

    def _beat(self) -> None:
        if datetime.now(UTC) - self._beaten >= HEARTBEAT:
            self._beaten = datetime.now(UTC)
            for note in list(self._live.values()):
                self.put(note)

    def _write(self, note: Note) -> None:
        mine = REPLICA_TAG + REPLICA
        if note.state == "live":
            self._registry.set_tag(note.version, mine, now())
        version = self._fresh(note.version)
        if note.state == "retired" and version.tag(mine):
            self._registry.delete_tag(version, mine)
            version = self._fresh(version)
        replicas = self._count(version)
        state = "live" if replicas else note.state
        if note.reason != version.tag(REASON_TAG):
            self._registry.set_tag(version, REASON_TAG, note.reason)
        if state != version.tag(STATE_TAG):
            self._registry.set_tag(version, STATE_TAG, state)
            self._registry.set_tag(version, SINCE_TAG, now())

    def _fresh(self, version: Version) -> Version:
        return self._registry.version(version.name, version.version)

    def _count(self, version: Version) -> int:
        """The replicas that serve a version; those that stopped telling are struck off."""
        told = [tag for tag in version.tags if tag.key.startswith(REPLICA_TAG)]
        stale = [tag for tag in told if _age(tag.value) > STALE]
        for tag in stale:
            self._registry.delete_tag(version, tag.key)
        count = len(told) - len(stale)
        if str(count) != version.tag(REPLICAS_TAG):
            self._registry.set_tag(version, REPLICAS_TAG, str(count))
        return count


def _age(stamp: str) -> timedelta:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return timedelta.max
