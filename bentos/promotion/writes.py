"""Whether anything was written to the registry, where its database is a file of this machine."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# SQLite's own files beside a database: https://www.sqlite.org/tempfiles.html
BESIDE = ("", "-journal", "-wal")
SETTLED = 0.1  # seconds; two writes within a tick of the file system's clock have the same time
Mark = tuple[tuple[int, ...], ...]


class Writes:
    """To an SQLite database; without one, anything may have been written at any time."""

    def __init__(self, path: Path | None) -> None:
        self._paths = [f"{path}{beside}" for beside in BESIDE] if path else []
        self.files = [Path(path) for path in self._paths]
        self._mark: Mark | None = None

    @property
    def moved(self) -> bool:
        """Whether something may have been written since what was `seen`."""
        return self._mark is None or self._mark != self.read()

    def read(self) -> Mark | None:
        """What stands there now; nothing while it is being written, or just was."""
        mark = tuple(self._stamps())
        newest = max((stamp[1] for stamp in mark), default=0) / 1e9
        return mark if mark and abs(time.time() - newest) > SETTLED else None

    def seen(self, mark: Mark | None) -> None:
        """Take notice that what stood there at `mark` was looked at."""
        self._mark = mark

    def _stamps(self) -> Iterator[tuple[int, ...]]:
        for place, path in enumerate(self._paths):
            with suppress(OSError):
                status = os.stat(path)  # noqa: PTH116 - four times a second, for ever
                yield place, status.st_mtime_ns, status.st_size, status.st_ino
