"""One process of a home asks the registry; the others read what it was answered.

Who asks holds a lock, which the system frees however its process ends: the next one that looks
takes it. Beside the answer lies an empty file whose time of change is the moment of the last look,
by the machine's monotonic clock, which all processes share and nobody sets.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from bentos.files import written
from bentos.registry.client import Model

NANO = 1e9
LATE, STALE = 1.5, 3.0  # pauses between two looks
Stamp = tuple[int, int, int]


class Lookout:
    """What the processes of a home that ask the same question know of its answer."""

    def __init__(self, folder: Path, question: str, pause: float) -> None:
        self._answer = folder / f"{hashlib.sha256(question.encode()).hexdigest()[:16]}.json"
        self._moment = self._answer.with_suffix(".at")
        self._lock = FileLock(self._answer.with_suffix(".lock"), thread_local=False)
        self._late = pause * LATE  # seconds; whoever asks may have ended by then
        self._stale = pause * STALE  # or be stuck
        self._told: Mapping[str, Model] | None = None
        self._stamp: Stamp | None = None  # of the answer that was read last

    def leads(self) -> bool:
        """Whether this process is the one that asks; from now on, if nobody else does."""
        if self._lock.is_locked:
            return True
        if self.hear(time.monotonic() - self._late):
            return False
        try:
            self._answer.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError:  # nothing can be shared here
            return True
        self._told = None
        return True

    def tell(self, models: Mapping[str, Model], at: float) -> None:
        """Let the others know what was there at a moment; who is not told asks for itself."""
        with suppress(OSError):
            if models is not self._told:
                with written(self._answer, 0o600) as file:
                    file.write(msgspec.json.encode(list(models.values())))
                self._told = models
            self._moment.touch()
            os.utime(self._moment, ns=(int(at * NANO), int(at * NANO)))

    def hear(self, after: float) -> tuple[Mapping[str, Model], float] | None:
        """The last answer, if it is fresh and of a later moment than `after`; and its moment."""
        try:
            at = self._moment.stat().st_mtime_ns / NANO  # first: the answer is no older
            if at <= after or not 0 <= time.monotonic() - at < self._stale:
                return None
            stamp = self._read_stamp()
            if stamp != self._stamp or self._told is None:
                found = msgspec.json.decode(self._answer.read_bytes(), type=list[Model])
                self._told, self._stamp = {model.name: model for model in found}, stamp
        except (OSError, msgspec.DecodeError):
            return None
        return self._told, at

    @property
    def file(self) -> Path:
        """What is written when the answer is another one."""
        return self._answer

    @property
    def has_news(self) -> bool:
        """Whether another process was answered something new."""
        with suppress(OSError):
            return not self._lock.is_locked and self._read_stamp() != self._stamp
        return False

    def close(self) -> None:
        """Leave the asking to another process."""
        self._lock.release()

    def _read_stamp(self) -> Stamp:
        status = self._answer.stat()
        return status.st_mtime_ns, status.st_ino, status.st_size
