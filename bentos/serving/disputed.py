"""Calls whose rows a release would not take, held for whoever asks the release before it.

Whether such rows are their callers' fault, or the model's, nobody can tell from one model alone.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

MOST_ROWS = 100  # of a call in which no row is to blame alone


class Call(NamedTuple):
    """The refused rows of a call, and the second of the monotonic clock when that was."""

    at: int
    rows: Sequence[Any]


class Disputed:
    """Holds calls while it has room, and room comes from who takes them away.

    So a call pays for one comparison, and where nobody takes, nothing is held. Written by one
    thread at a time; taken by another, which notes what it found out.
    """

    def __init__(self) -> None:
        self.room = 0  # calls
        self.asked = 0  # calls that the release before was asked, too
        self.taken = 0  # those that it answered
        self.seconds: set[int] = set()  # in which those came
        self._held: list[Call] = []
        self._closed = False

    def add(self, rows: Sequence[Any], row: int | None) -> None:
        """Hold what was refused of a call: one of its rows, or all of them."""
        if self.room <= 0:
            return
        if row is not None and 0 <= row < len(rows):
            rows = rows[row : row + 1]
        if len(rows) <= MOST_ROWS:
            self.room -= 1
            self._held.append(Call(int(time.monotonic()), rows))

    def take(self, room: int) -> list[Call]:
        """The calls that are held, which are held no more; make room for so many."""
        held, self._held = self._held, []
        self.room = 0 if self._closed else room
        return held

    def close(self) -> None:
        """Hold no more calls."""
        self._closed, self.room, self._held = True, 0, []

    def note(self, call: Call, taken: bool) -> None:
        """The release before was asked a call that was held, and answered it, or did not."""
        self.asked += 1
        if taken:
            self.taken += 1
            self.seconds.add(call.at)
