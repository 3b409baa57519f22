"""Files that wait on disk, sent to where recordings are kept, by whichever process comes first."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bentos.loop import Loop
from bentos.recording.store import TROUBLES, Store
from bentos.settings import RecordingSettings

FIRST_PAUSE, LAST_PAUSE = 5.0, 60.0
PRUNE_SECONDS = 3600.0
STOP_SECONDS = 10.0


class Sender:
    """Sends what lies in a folder, and deletes what is older than `keep_days`, if that is set."""

    def __init__(self, folder: Path, settings: RecordingSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._pruned_at = -PRUNE_SECONDS
        self._store: Store | None = None
        self._loop = Loop(
            "sending recordings", self.send, self._pause, TROUBLES, "they wait on disk"
        )

    @property
    def trouble(self) -> str:
        """Why nothing is sent; empty when well."""
        return self._loop.trouble

    def start(self) -> None:
        """Begin to send."""
        self._loop.start()

    def stop(self) -> None:
        """Send once more, and stop; what cannot be sent now goes at the next start."""
        self._loop.stop(STOP_SECONDS)
        with suppress(*TROUBLES):
            self.send()

    def wake(self) -> None:
        """Send at once."""
        self._loop.wake()

    def send(self) -> None:
        """Send all files that are whole. Raises StoreUnavailable or OSError."""
        waiting = sorted(_files(self._folder))
        if waiting or self._settings.keep_days:
            store = self._store = self._store or Store(self._settings.uri)
            for path in waiting:
                with suppress(FileNotFoundError):  # another worker sent it
                    store.put(path.relative_to(self._folder).as_posix(), path)
                    path.unlink()
            self._prune(store)

    def _prune(self, store: Store) -> None:
        days = self._settings.keep_days
        if days is None or time.monotonic() < self._pruned_at + PRUNE_SECONDS:
            return
        self._pruned_at = time.monotonic()
        oldest = f"day={datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"
        store.remove([name for name in store.names() if _day(name) < oldest])

    def _pause(self, failures: int) -> float:
        if not failures:
            return LAST_PAUSE
        return min(LAST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - 1))


def bytes_below(folder: Path) -> int:
    """What the files take that wait."""
    total = 0
    for path in _files(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _files(folder: Path) -> Iterator[Path]:
    return folder.glob("model=*/day=*/[!.]*.parquet")


def _day(name: str) -> str:
    """The folder of a recording's day; what is no recording has one that never grows old."""
    parts = name.split("/")
    return parts[1] if len(parts) == 3 and parts[1].startswith("day=") else "day=9"
