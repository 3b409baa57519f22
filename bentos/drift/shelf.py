"""Where the workers of a machine hand their counts to each other: a folder for each version.

<root>/<model>/<version>-<digest>/<worker>.tally   what a worker counted of late
<root>/<model>/<version>-<digest>/reference.json   made of the first rows that were served
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from bentos.drift import reference
from bentos.drift.reference import FILE, Reference
from bentos.drift.tally import Tally
from bentos.files import written

UNUSED_SECONDS = 30 * 24 * 3600.0  # after which a version's folder goes

log = logging.getLogger(__name__)


class Shelf:
    """One version's folder. Raises OSError where the disk is in the way."""

    def __init__(self, folder: Path, me: str) -> None:
        self.folder = folder
        self._own = f"{me}.tally"

    def share(self, tally: Tally) -> None:
        """Lay down what this worker counted."""
        with written(self.folder / self._own) as file:
            file.write(tally.encode())

    def stamps(self) -> dict[str, int]:
        """What others laid down, and when: the same while nothing is new."""
        with suppress(FileNotFoundError):
            found = list(os.scandir(self.folder))
            names = {e.name: e for e in found if e.name.endswith(".tally") and e.name != self._own}
            return {name: entry.stat().st_mtime_ns for name, entry in names.items()}
        return {}

    def others(self, hours: float) -> Iterator[Tally]:
        """What others counted; what is older than so many hours is thrown away."""
        for name, stamp in self.stamps().items():
            path = self.folder / name
            if stamp / 1e9 < time.time() - 3600 * hours:
                path.unlink(missing_ok=True)
                continue
            try:
                yield Tally.decode(path.read_bytes())
            except FileNotFoundError:
                continue
            except (ValueError, RuntimeError, msgspec.DecodeError) as error:
                log.warning("%s is thrown away: %s", path, error)
                path.unlink(missing_ok=True)

    def reference(self) -> Reference | None:
        """What was made of the first rows served, if it was."""
        return reference.read(self.folder / FILE)

    def make(self, made: Reference) -> None:
        """Keep a reference, unless another worker is at it; counting begins anew with it."""
        with suppress(Timeout), FileLock(self.folder / ".lock", timeout=0):
            if not (self.folder / FILE).exists():
                with written(self.folder / FILE) as file:
                    file.write(msgspec.json.encode(made))
                for path in self.folder.glob("*.tally"):
                    path.unlink(missing_ok=True)


def tidy(root: Path) -> None:
    """Throw away the folders of versions that nobody has served for long."""
    for folder in root.glob("*/*"):
        with suppress(OSError):
            if folder.stat().st_mtime < time.time() - UNUSED_SECONDS:
                shutil.rmtree(folder)
