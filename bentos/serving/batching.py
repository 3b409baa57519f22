"""The adaptive batcher: rows that arrive together go together.

It takes what is queued the moment the model is free, and the next batch fills while the model
runs: an idle model answers at once, a busy one in batches, and no timer is needed for that.
One timer sweeps the calls whose time is over.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from bentos.process import tidy
from bentos.serving.engine import Engine, Join, Outcome, Parts, Run
from bentos.serving.observer import Observer
from bentos.serving.release import Release
from bentos.serving.waiting import Answer, Answered, Call, Row, Waiting
from bentos.serving.witness import CALL_ID, Witnesses
from bentos.tensors import BadInput

INLINE_SECONDS = 0.001  # below this a hop to a thread and back costs more than it frees
PIECE_SECONDS = 0.1  # that the rows of one large call may take in a batch, beside others
SWEEP_SECONDS = 0.1


def flat(calls: Sequence[Sequence[Row]]) -> list[Row]:
    """All rows of several calls, in order; or their answers."""
    return [row for rows in calls for row in rows]


class QueueFull(Exception):
    """Too much waits: the call was not accepted; in so many `seconds` it may be."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class NoRelease(Exception):
    """Nothing serves yet: the call was not accepted."""


class Batcher(Generic[Row, Answer]):
    """Batches calls to one model. Used from one event loop; one batch runs at a time.

    `release` gives what serves now: a call is answered wholly by one release, and begins anew
    where a swap comes between the batches that it is cut into. `join` makes one sequence of the
    rows of several calls, or of the answers to parts of a call. `clock` gives seconds.
    `witnesses` see the batches.
    """

    def __init__(
        self,
        release: Callable[[], Release | None],
        run: Run[Row, Answer],
        observer: Observer,
        max_batch_rows: int,
        max_queue_rows: int,
        inline: bool = True,
        join: Join = flat,
        clock: Callable[[], float] = time.monotonic,
        witnesses: Witnesses | None = None,
    ) -> None:
        self._release = release
        self._engine: Engine[Row, Answer] = Engine(run, join, observer, clock, witnesses)
        self._join = join
        self._observer = observer
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._inline_seconds = INLINE_SECONDS if inline else 0.0
        self._clock = clock
        self._waiting: Waiting[Row, Answer] = Waiting(max_batch_rows)
        self._running: Parts[Row, Answer] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")

    @property
    def queued_rows(self) -> int:
        """How many rows no batch has taken yet."""
        return self._waiting.rows

    async def submit(self, rows: Sequence[Row], until: float = math.inf) -> Answered[Answer]:
        """Answer the rows of one call, until a time of the clock.

        Raises NoRelease before the first promotion, QueueFull when the queue is full or would
        not let it be answered in time, Late when it was not, and whatever the model raises for
        these rows.
        """
        release = self._release()
        if release is None:
            raise NoRelease
        if not rows:
            return Answered((), release)
        if self._busy:
            self._admit(release, len(rows), until)
        loop = asyncio.get_running_loop()
        call: Call[Row, Answer] = Call(rows, loop.create_future(), until, CALL_ID.get())
        if self._engine.spans:
            self._engine.spans.note(call)
        self._waiting.add(call)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)  # what else this turn of the loop brings goes along
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)
        return await call.future

    def _admit(self, release: Release, rows: int, until: float) -> None:
        """Raise QueueFull for a call that has no room, or that would be answered too late.

        That is told by batches as they were measured; what was not is taken for quick.
        """
        waiting = self.queued_rows
        size = min(self._max_batch_rows, waiting + rows)
        wait = self._engine.pace.at_least(release, size) * self._waiting.batches(rows)
        if waiting and waiting + rows > self._max_queue_rows:
            message = f"{waiting} rows wait already; the queue takes {self._max_queue_rows}"
            raise QueueFull(message, wait)
        if self._clock() + wait > until:
            message = f"{waiting} rows wait already; an answer would take {wait:.1f} s"
            raise QueueFull(message, wait)

    def _sweep(self) -> None:
        """Tell those whose time is over; as long as anybody waits."""
        now = self._clock()
        for call in [*self._waiting, *(part.call for part in self._running)]:
            call.expire(now)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self._busy else None

    def _next(self) -> None:
        """Start the next batch, in the loop when it is quick, or else in the thread."""
        tidy()
        release = self._release()
        if release:
            self._observer.queued(release, self.queued_rows)
        self._running = parts = self._take(release)
        if not parts:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        if release is None:  # it left while these calls waited
            self._finish(None, parts, [NoRelease()] * len(parts))
            loop.call_soon(self._next)
        elif self._is_quick(release, parts) and release.hold():
            self._finish(release, parts, self._engine.held(release, parts))
            loop.call_soon(self._next)
        else:
            running = loop.run_in_executor(self._thread, self._engine.opened, release, parts)
            running.add_done_callback(lambda done: self._resume(release, parts, done.result()))

    def _take(self, release: Release | None) -> Parts[Row, Answer]:
        most = self._max_batch_rows
        piece = self._engine.pace.rows_within(release, PIECE_SECONDS, most) if release else most
        return self._waiting.take(release, self._clock(), piece)

    def _is_quick(self, release: Release, parts: Parts[Row, Answer]) -> bool:
        rows = sum(part.size for part in parts)
        return self._engine.hold.at_most(release, rows) < self._inline_seconds

    def _resume(
        self, release: Release, parts: Parts[Row, Answer], outcomes: list[Outcome[Answer]]
    ) -> None:
        self._finish(release, parts, outcomes)
        self._next()

    def _finish(
        self,
        release: Release | None,
        parts: Parts[Row, Answer],
        outcomes: list[Outcome[Answer]],
    ) -> None:
        for part, outcome in zip(parts, outcomes, strict=True):
            call = part.call
            if call.future.done():
                continue
            if isinstance(outcome, Exception):
                call.future.set_exception(_moved(outcome, part.start))
                continue
            call.answered.append(outcome)
            if part.ends and release:
                self._end(call, release)

    def _end(self, call: Call[Row, Answer], release: Release) -> None:
        try:
            whole = call.answered[0] if len(call.answered) == 1 else self._join(call.answered)
        except ValueError as error:  # answers of other columns or shapes
            call.future.set_exception(error)
        else:
            call.future.set_result(Answered(whole, release))


def _moved(error: Exception, start: int) -> Exception:
    """What is wrong with a row, which counts in its call and not in a part of it."""
    if not start or not isinstance(error, BadInput) or error.row is None:
        return error
    return type(error)(error.message, error.column, start + error.row)
