"""The calls that wait for a model, and the batches that they make.

Calls of a few rows go whole and in the order of their coming. Larger ones are cut: each batch has
room for both, so that neither waits for all of the other, and large ones take turns.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from bentos.serving.release import Release

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

Row = TypeVar("Row")
Answer = TypeVar("Answer")

FEW = 8  # a call of more than this part of a batch is a large one


class Late(Exception):
    """The call was not answered in its time; rows that had not run are not run."""


class Answered(NamedTuple, Generic[Answer]):
    """The answers to a call's rows, in their order, and the one release that gave them all."""

    answers: Sequence[Answer]
    release: Release


class Came(NamedTuple):
    """The span of a call, and when it began to wait, in nanoseconds since 1970."""

    span: "SpanContext"
    at: int


@dataclass(slots=True, eq=False)
class Call(Generic[Row, Answer]):
    """Rows to be answered `until` a time; `answered` are the first of them, by `release`.

    `name` is its caller's for it, `came` is for its trace, if it has one.
    """

    rows: Sequence[Row]
    future: "asyncio.Future[Answered[Answer]]"
    until: float = math.inf
    name: str = ""
    release: Release | None = None
    taken: int = 0
    answered: list[Sequence[Answer]] = field(default_factory=list)
    came: Came | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.rows)

    @property
    def left(self) -> int:
        """How many rows no batch has taken."""
        return self.size - self.taken

    def expire(self, now: float) -> bool:
        """Whether nobody waits for it any more, which it is told if its time is over."""
        if self.until <= now and not self.future.done():
            self.future.set_exception(Late())
        return self.future.done()


class Part(NamedTuple, Generic[Row, Answer]):
    """So many rows of a call, from `start` on, that go with one batch."""

    call: Call[Row, Answer]
    start: int
    rows: Sequence[Row]
    size: int

    @property
    def ends(self) -> bool:
        """Whether its call has no rows after these."""
        return self.start + self.size == self.call.size


class Waiting(Generic[Row, Answer]):
    """What waits for batches of at most so many rows. Used from one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._few = max(1, most // FEW)
        self._small: deque[Call[Row, Answer]] = deque()
        self._large: deque[Call[Row, Answer]] = deque()
        self.rows = 0
        self._small_rows = 0

    def __iter__(self) -> Iterator[Call[Row, Answer]]:
        return chain(self._small, self._large)

    def add(self, call: Call[Row, Answer]) -> None:
        """Let a call wait."""
        self.rows += call.size
        if call.size <= self._few:
            self._small.append(call)
            self._small_rows += call.size
        else:
            self._large.append(call)

    def batches(self, rows: int) -> int:
        """After how many batches a call of so many rows would be answered."""
        if rows > self._few:
            return math.ceil((self.rows + rows) / self._most)
        room = self._most - self._most // 2 if self._large else self._most
        return math.ceil((self._small_rows + rows) / room)

    def take(self, release: Release | None, now: float, piece: int) -> list[Part[Row, Answer]]:
        """The next batch, of large calls at most `piece` rows each."""
        piece = max(piece, self._few)
        kept = self._most // 2 if self._large else 0
        parts = list(self._of_small(self._most - kept, now))
        room = self._most - sum(part.size for part in parts)
        for part in self._of_large(release, room, now, piece):
            room -= part.size
            parts.append(part)
        parts += self._of_small(room, now)
        return parts

    def _of_small(self, room: int, now: float) -> Iterator[Part[Row, Answer]]:
        while self._small and self._small[0].size <= room:
            call = self._small.popleft()
            self.rows -= call.size
            self._small_rows -= call.size
            if not call.expire(now):
                room -= call.size
                yield Part(call, 0, call.rows, call.size)

    def _of_large(
        self, release: Release | None, room: int, now: float, piece: int
    ) -> Iterator[Part[Row, Answer]]:
        for _ in range(len(self._large)):
            if not room:
                return
            call = self._large.popleft()
            self.rows -= call.left
            if call.expire(now):
                continue
            if call.release is not release:  # a swap came between: all by the new one
                call.release, call.taken, call.answered = release, 0, []
            start, count = call.taken, min(call.left, room, piece)
            call.taken += count
            room -= count
            if call.left:
                self._large.append(call)
                self.rows += call.left
            rows = call.rows if count == call.size else call.rows[start : start + count]
            yield Part(call, start, rows, count)
