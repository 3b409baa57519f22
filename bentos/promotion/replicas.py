"""Which processes serve what, and which of them live.

Each process keeps one record on every registered model that it serves. No copy of a version takes
it along, and the one call of a look brings the records of all processes. A record is written when
what it says changes, and one of them every minute: that one tells that the process lives.
"""

import fcntl
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from bentos.promotion.ledger import REPLICA
from bentos.registry.client import Model
from bentos.registry.tags import RECORD_TAG, State

log = logging.getLogger(__name__)

HEARTBEAT = timedelta(seconds=60)
STALE = 3 * HEARTBEAT
NEVER = datetime.min.replace(tzinfo=UTC)
PATIENCE_SECONDS = 5.0  # for another process that looks whether this one lives


class Said(msgspec.Struct, frozen=True):
    """What a process does with a version."""

    state: State
    runs: str = ""


class Record(msgspec.Struct, frozen=True):
    """What a process does with the versions of a model, and when it last wrote that."""

    at: str
    said: dict[str, Said]

    @property
    def time(self) -> datetime:
        """When that was; long ago if it does not tell."""
        try:
            return datetime.fromisoformat(self.at).astimezone(UTC) if "+" in self.at else NEVER
        except ValueError:
            return NEVER


def records(model: Model) -> dict[str, Record]:
    """The records of a model by process."""
    return {
        tag.key.removeprefix(RECORD_TAG): _record(tag.value)
        for tag in model.tags
        if tag.key.startswith(RECORD_TAG)
    }


def live(known: Mapping[str, Record]) -> set[str]:
    """The versions that serve by these records."""
    said = [pair for record in known.values() for pair in record.said.items()]
    return {version for version, one in said if one.state == "live"}


def _record(value: str) -> Record:
    try:
        return msgspec.json.decode(value, type=Record)
    except msgspec.DecodeError:
        return Record("", {})


class Beats:
    """When each process last wrote any of its records, as far as was seen."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}
        self._whole_at = NEVER

    @property
    def is_whole(self) -> bool:
        """Whether the records of all models were seen not long ago."""
        return datetime.now(UTC) - self._whole_at < HEARTBEAT

    @property
    def replicas(self) -> set[str]:
        """Those that have records."""
        return set(self._last)

    @property
    def quiet(self) -> set[str]:
        """Those that have stopped writing any."""
        limit = datetime.now(UTC) - STALE
        return {replica for replica, last in self._last.items() if last < limit}

    def see(self, seen: Iterable[Mapping[str, Record]], whole: bool) -> None:
        """Read the records of these models, which are all that there are if `whole`."""
        if whole:
            self._last, self._whole_at = {}, datetime.now(UTC)
        for known in seen:
            for replica, record in known.items():
                self._last[replica] = max(record.time, self._last.get(replica, NEVER))

    def see_again(self) -> None:
        """Take notice that the records of all models are as they were."""
        self._whole_at = datetime.now(UTC)


class ReplicaLocks:
    """The processes of one home. Each holds a lock from its start to its end, however it ends."""

    def __init__(self, folder: Path, me: str = "") -> None:
        self.me = me or f"{REPLICA}-{secrets.token_hex(2)}"
        self._folder = folder
        self._lock = FileLock(folder / self.me, thread_local=False)
        self._pen = FileLock(folder.with_suffix(".lock"), thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(PATIENCE_SECONDS)
        except (OSError, Timeout) as error:
            log.warning("others will not see at once that this process has ended: %s", error)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write after the others of this home have written; with them, if they take long."""
        with suppress(OSError, Timeout):
            self._pen.acquire(PATIENCE_SECONDS)
        try:
            yield
        finally:
            self._pen.release()

    def dead(self) -> set[str]:
        """Those that ended without taking back what they said."""
        try:
            return {path.name for path in self._folder.iterdir() if self._is_dead(path)}
        except OSError:
            return set()

    def forget(self, replica: str) -> None:
        """Forget one that is dead."""
        self._path(replica).unlink(missing_ok=True)

    def close(self) -> None:
        """Leave; what was said is taken back."""
        self.forget(self.me)
        self._lock.release()

    def _is_dead(self, path: Path) -> bool:
        if path.name == self.me:
            return False
        try:
            with path.open("rb") as file:  # as FileLock does, at a twentieth of its cost
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return False
        return True

    def _path(self, replica: str) -> Path:
        return self._folder / replica
