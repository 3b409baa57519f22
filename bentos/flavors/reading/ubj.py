"""XGBoost's binary JSON, read before XGBoost itself does: it follows indices without looking.

Format: https://ubjson.org/type-reference/ as XGBoost writes it, big-endian, keys without a type
but their length's.
"""

from typing import Any

import numpy as np

from bentos.flavors.reading.names import expect

NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
CONSTANTS = {"T": True, "F": False, "N": None, "Z": None}
MAX_DEPTH = 30


class Ubj:
    """A reader of one document."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.places: dict[tuple[str, ...], tuple[int, int]] = {}  # of the first two levels

    def read(self, path: tuple[str, ...] = ()) -> Any:
        """The value that stands here."""
        expect(len(path) <= MAX_DEPTH, "a booster has parts in parts")
        mark = self._take(1).decode("latin1")
        if mark in CONSTANTS:
            return CONSTANTS[mark]
        if mark in NUMBERS:
            return self._number(mark)
        if mark == "S":
            return self._take(self._length()).decode()
        if mark == "{":
            return self._object(path)
        expect(mark == "[", "a booster is no JSON")
        return self._list(path)

    def _take(self, count: int) -> bytes:
        expect(0 <= count <= len(self.data) - self.at, "a booster ends before its end")
        self.at += count
        return self.data[self.at - count : self.at]

    def _number(self, mark: str) -> Any:
        kind = np.dtype(NUMBERS[mark])
        return np.frombuffer(self._take(kind.itemsize), kind)[0].item()

    def _length(self) -> int:
        mark = self._take(1).decode("latin1")
        expect(mark in ("i", "U", "I", "l", "L"), "a booster is no JSON")
        return int(self._number(mark))

    def _object(self, path: tuple[str, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while self.data[self.at : self.at + 1] != b"}":
            key = self._take(self._length()).decode()
            expect(key not in made, "a booster says something twice")
            start = self.at
            made[key] = self.read((*path, key))
            if not path:
                self.places[(key,)] = (start, self.at)
        self.at += 1
        return made

    def _list(self, path: tuple[str, ...]) -> Any:
        if self.data[self.at : self.at + 1] == b"$":
            mark = self._take(3)[1:2].decode("latin1")
            expect(mark in NUMBERS and self.data[self.at - 1 : self.at] == b"#", "no JSON")
            kind = np.dtype(NUMBERS[mark])
            return np.frombuffer(self._take(self._length() * kind.itemsize), kind)
        if self.data[self.at : self.at + 1] == b"#":
            self.at += 1
            count = self._length()
            expect(count <= len(self.data) - self.at, "a booster ends before its end")
            return [self.read((*path, "")) for _ in range(count)]
        made = []
        while self.data[self.at : self.at + 1] != b"]":
            made.append(self.read((*path, "")))
        self.at += 1
        return made
