"""What is written to files, as Linux tells it at once: inotify(7). Other systems tell nothing."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from struct import Struct
from threading import Thread

MODIFY, MOVED_TO, OVERFLOW, IGNORED = 0x2, 0x80, 0x4000, 0x8000
EVENT = Struct("iIII")  # watch, mask, cookie, length of the name that follows
BYTES = 65536
CALM = 0.05  # seconds that are told of together


class Notices:
    """Calls `heard`, in a thread of its own, when one of these files is written or replaced.

    A call may be for nothing. Raises OSError where nobody tells, as of a folder that is missing.
    """

    def __init__(self, paths: Collection[Path], heard: Callable[[], None]) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(f"{sys.platform} has no inotify")
        self._names = {os.fsencode(path.name) for path in paths}
        self._heard = heard
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = _checked(self._libc.inotify_init1(os.O_CLOEXEC))
        try:
            self._watches = {self._watch(folder) for folder in {path.parent for path in paths}}
        except OSError:
            os.close(self._file)
            raise
        Thread(target=self._listen, name="notices", daemon=True).start()

    @property
    def come(self) -> bool:
        """Whether there will be any: a folder may have gone since."""
        return bool(self._watches)

    def close(self) -> None:
        """Hear no more."""
        for watch in list(self._watches):
            self._libc.inotify_rm_watch(self._file, watch)  # which is told, too

    def _watch(self, folder: Path) -> int:
        path = os.fsencode(folder)
        return _checked(self._libc.inotify_add_watch(self._file, path, MODIFY | MOVED_TO))

    def _listen(self) -> None:
        while self._watches:
            concerned = [self._concerns(*event) for event in _events(os.read(self._file, BYTES))]
            if any(concerned):
                self._heard()
                time.sleep(CALM)
        os.close(self._file)

    def _concerns(self, watch: int, mask: int, name: bytes) -> bool:
        if mask & IGNORED:
            self._watches.discard(watch)
        return name in self._names or bool(mask & (OVERFLOW | IGNORED))


def _events(told: bytes) -> Iterator[tuple[int, int, bytes]]:
    place = 0
    while place < len(told):
        watch, mask, _, length = EVENT.unpack_from(told, place)
        place += EVENT.size + length
        yield watch, mask, told[place - length : place].rstrip(b"\0")


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
