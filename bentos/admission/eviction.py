"""What leaves the disk, and how much there may be."""

import glob
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from bentos.settings import CacheSettings


class Room:
    """How much all versions may take together: `cache.bytes`, or half of what they find free."""

    def __init__(self, root: Path, settings: CacheSettings) -> None:
        self._root = root
        self._bytes = settings.bytes
        self._sizes: dict[Path, tuple[float, int]] = {}  # with when each was used last

    def lacks(self, folders: Mapping[Path, float]) -> bool:
        """Whether something must leave; the folders come with when they were used."""
        used = sum(self._size(folder, at) for folder, at in folders.items())
        return used > self.most(used)

    def beyond(self, oldest_first: Mapping[Path, float], kept: Collection[Path]) -> Iterator[Path]:
        """The folders, with when they were used, that leave so that the others have room.

        None that is kept.
        """
        sizes = {folder: self._size(folder, used) for folder, used in oldest_first.items()}
        used = sum(sizes.values())
        most = self.most(used)
        for folder, size in sizes.items():
            if used > most and folder not in kept:
                used -= size
                yield folder

    def most(self, used: int) -> int:
        """The bound in bytes, where so many are used."""
        return self._bytes or (used + shutil.disk_usage(self._root).free) // 2

    def _size(self, folder: Path, used: float) -> int:
        at, size = self._sizes.get(folder, (None, 0))
        if at != used:
            size = sum(map(_size, (folder, *beside(folder))))
            self._sizes[folder] = used, size
        return size


def beside(folder: Path) -> list[Path]:
    """What admissions of a version left."""
    return [path for path in folder.parent.glob(f"{glob.escape(folder.name)}.*") if path.is_dir()]


def remove(folder: Path) -> None:
    """Remove a version, and what its admissions left."""
    for path in (folder, *beside(folder)):
        shutil.rmtree(path, ignore_errors=True)


def _size(folder: Path) -> int:
    """In bytes. A file that has two names, as both folders may have it, counts half at each."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return sum(stat.st_size // stat.st_nlink for stat in found)
