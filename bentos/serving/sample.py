"""The latest rows and answers of a release, held for whoever counts them in the background."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from bentos.serving.drift import Drift

Part: TypeAlias = tuple[Sequence[Any], Sequence[Any]]  # rows and as many answers


class Sample:
    """Takes whole batches while it has room, and room comes from who takes them away.

    So a call pays for one comparison, and where nobody takes, nothing is held. Written by one
    thread at a time, taken by another.
    """

    __slots__ = ("_parts", "found", "room")

    def __init__(self) -> None:
        self.room = 0  # rows
        self.found: Drift | None = None  # what the rows of late showed
        self._parts: list[Part] = []

    def add(self, rows: Sequence[Any], answers: Sequence[Any]) -> None:
        """Hold a batch, or as much of it as there is room for."""
        room = self.room
        if room <= 0:
            return
        self.room = room - len(rows)
        self._parts.append((rows, answers) if len(rows) <= room else (rows[:room], answers[:room]))

    def take(self, room: int) -> list[Part]:
        """What is held, which is held no more; make room for so many rows."""
        taken, self._parts = self._parts, []
        self.room = room
        return taken
