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
from typing import Any, Generic, TypeAlias

from bentos.process import tidy
from bentos.serving.failures import Failing
from bentos.serving.observer import Observer
from bentos.serving.pace import Pace
from bentos.serving.release import Release
from bentos.serving.spans import spans
from bentos.serving.waiting import Answer, Answered, Call, Part, Row, Waiting
from bentos.serving.witness import CALL_ID, Ear, Witnesses
from bentos.tensors import BadInput

Run = Callable[[Release, Sequence[Row]], Sequence[Answer]]
Join: TypeAlias = Callable[[Sequence[Sequence[Any]]], Sequence[Any]]

INLINE_SECONDS = 0.001  # below this a hop to a thread and back costs more than it frees
OTHERS = 8  # a batch may take so many times longer while others have its core or interpreter
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


_Outcome = Sequence[Answer] | Exception
_Parts = list[Part[Row, Answer]]


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
        self._spans = spans()  # none: this process traces nothing
        self._run = self._spans.model(run) if self._spans else run
        self._join = join
        self._observer = observer
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._inline_seconds = INLINE_SECONDS if inline else 0.0
        self._clock = clock
        self._waiting: Waiting[Row, Answer] = Waiting(max_batch_rows)
        self._running: _Parts[Row, Answer] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._hold = Pace()  # for how long a batch would hold the loop
        self._ear = Ear(witnesses)
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
        if self._spans:
            self._spans.note(call)
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
        wait = self._pace.at_least(release, size) * self._waiting.batches(rows)
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
            self._finish(release, parts, self._answered(release, parts))
            loop.call_soon(self._next)
        else:
            running = loop.run_in_executor(self._thread, self._opened, release, parts)
            running.add_done_callback(lambda done: self._resume(release, parts, done.result()))

    def _take(self, release: Release | None) -> _Parts[Row, Answer]:
        most = self._max_batch_rows
        piece = self._pace.rows_within(release, PIECE_SECONDS, most) if release else most
        return self._waiting.take(release, self._clock(), piece)

    def _is_quick(self, release: Release, parts: _Parts[Row, Answer]) -> bool:
        rows = sum(part.size for part in parts)
        return self._hold.at_most(release, rows) < self._inline_seconds

    def _resume(
        self, release: Release, parts: _Parts[Row, Answer], outcomes: list[_Outcome[Answer]]
    ) -> None:
        self._finish(release, parts, outcomes)
        self._next()

    def _opened(self, release: Release, parts: _Parts[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls by a release whose model may be closed."""
        try:
            self._open(release)
        except BaseException as error:
            return [_for_future(release, error)] * len(parts)
        return self._answered(release, parts)

    def _open(self, release: Release) -> None:
        try:
            release.open()
        except Failing as error:  # it ended since the last batch
            self._observer.failed(release, error.how)
            release.open()

    def _answered(self, release: Release, parts: _Parts[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls by a release that is held open, and free it."""
        try:
            if self._spans:
                return self._spans.around(self._outcomes, release, parts)
            return self._outcomes(release, parts)
        finally:
            release.free()

    def _outcomes(self, release: Release, parts: _Parts[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls in one batch; when that fails, each by itself: none fails another."""
        try:
            rows = self._join([part.rows for part in parts]) if len(parts) > 1 else parts[0].rows
            answers = self._timed(release, rows, parts)
        except Failing as error:
            self._observer.failed(release, error.how)
            for _ in parts:
                release.record.failed()
                self._observer.erred(release, "failed")
            return [error] * len(parts)
        except BaseException as error:  # a panic in a Rust library is no Exception
            if len(parts) == 1:
                if isinstance(error, BadInput):
                    self._observer.erred(release, "refused")
                    release.record.refused()
                    release.disputed.add(parts[0].rows, error.row)
                else:
                    self._observer.erred(release, "failed")
                    release.record.failed()
                return [_for_future(release, error)]
            return [outcome for part in parts for outcome in self._outcomes(release, [part])]
        outcomes: list[_Outcome[Answer]] = []
        start = 0
        for part in parts:
            outcomes.append(answers[start : start + part.size])
            start += part.size
        return outcomes

    def _timed(
        self, release: Release, rows: Sequence[Row], parts: _Parts[Row, Answer]
    ) -> Sequence[Answer]:
        hearing = self._ear.at(release)
        started, worked = self._clock(), time.thread_time()
        answers = self._run(hearing, rows)
        worked = time.thread_time() - worked
        seconds = self._clock() - started
        if len(answers) != len(rows):
            raise RuntimeError(f"{release} gave {len(answers)} answers to {len(rows)} rows")
        self._pace.note(release, len(rows), seconds)
        alone = seconds if release.process else max(worked, seconds / OTHERS)
        self._hold.note(release, len(rows), alone)
        release.record.answered(sum(part.ends for part in parts), seconds)
        release.sample.add(rows, answers)
        self._observer.batched(release, len(rows), seconds)
        self._ear.tell(release, parts)
        return answers

    def _finish(
        self,
        release: Release | None,
        parts: _Parts[Row, Answer],
        outcomes: list[_Outcome[Answer]],
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


def _for_future(release: Release, raised: BaseException) -> Exception:
    """What was raised, as an error that a future takes."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"{release} panicked: {raised!r}")
    error.__cause__ = raised
    return error
