"""The adaptive batcher: rows that arrive together go together.

It takes what is queued the moment the model is free, and the next batch fills while the model
runs: an idle model answers at once, a busy one in batches, and no timer is needed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from bentos.serving.failures import Failing
from bentos.serving.observer import Observer
from bentos.serving.release import Release
from bentos.tensors import BadInput

Row = TypeVar("Row")
Answer = TypeVar("Answer")
Run = Callable[[Release, Sequence[Row]], Sequence[Answer]]
Join = Callable[[Sequence[Sequence[Row]]], Sequence[Row]]

INLINE_SECONDS = 0.0005  # below this a hop to a thread and back costs more than it frees
SMOOTHING = 0.2


def flat(calls: Sequence[Sequence[Row]]) -> list[Row]:
    """All rows of several calls, in order."""
    return [row for rows in calls for row in rows]


class QueueFull(Exception):
    """The queue is full: the call was not accepted."""


class NoRelease(Exception):
    """Nothing serves yet: the call was not accepted."""


class Answered(NamedTuple, Generic[Answer]):
    """The answers to a call's rows, in their order, and the one release that gave them all."""

    answers: Sequence[Answer]
    release: Release


@dataclass(slots=True, eq=False)
class _Call(Generic[Row, Answer]):
    rows: Sequence[Row]
    future: "asyncio.Future[Answered[Answer]]"


_Outcome = Answered[Answer] | Exception
_Calls = list[_Call[Row, Answer]]


class Batcher(Generic[Row, Answer]):
    """Batches calls to one model. Used from one event loop; one batch runs at a time.

    `release` gives what serves now: a batch runs wholly on the release that it started with.
    `join` makes one sequence of the rows of several calls.
    """

    def __init__(
        self,
        release: Callable[[], Release | None],
        run: Run[Row, Answer],
        observer: Observer,
        max_batch_rows: int,
        max_queue_rows: int,
        inline: bool = True,
        join: Join[Row] = flat,
    ) -> None:
        self._release = release
        self._run = run
        self._join = join
        self._observer = observer
        self._max_batch_rows = max_batch_rows
        self._max_queue_rows = max_queue_rows
        self._inline_seconds = INLINE_SECONDS if inline else 0.0
        self._queue: deque[_Call[Row, Answer]] = deque()
        self._busy = False
        self._pace = _Pace()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self.queued_rows = 0

    async def submit(self, rows: Sequence[Row]) -> Answered[Answer]:
        """Answer the rows of one call.

        Raises NoRelease before the first promotion, QueueFull when the queue is full, and
        whatever the model raises for these rows.
        """
        release = self._release()
        if release is None:
            raise NoRelease
        if not rows:
            return Answered((), release)
        if self._queue and self.queued_rows + len(rows) > self._max_queue_rows:
            raise QueueFull(
                f"{self.queued_rows} rows wait already; the queue takes {self._max_queue_rows}"
            )
        loop = asyncio.get_running_loop()
        call = _Call(rows, loop.create_future())
        self._queue.append(call)
        self.queued_rows += len(rows)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)  # what else this turn of the loop brings goes along
        return await call.future

    def _next(self) -> None:
        """Start the next batch, in the loop when it is quick, or else in the thread."""
        release = self._release()
        if release:
            self._observer.queued(release, self.queued_rows)
        calls = self._take()
        if not calls:
            self._busy = False
            return
        loop = asyncio.get_running_loop()
        if release is None:  # it left while these calls waited
            self._finish(calls, [NoRelease()] * len(calls))
            loop.call_soon(self._next)
        elif self._pace.seconds(release) < self._inline_seconds and release.hold():
            self._finish(calls, self._answered(release, calls))
            loop.call_soon(self._next)
        else:
            running = loop.run_in_executor(self._thread, self._opened, release, calls)
            running.add_done_callback(lambda done: self._resume(calls, done.result()))

    def _resume(self, calls: _Calls[Row, Answer], outcomes: list[_Outcome[Answer]]) -> None:
        self._finish(calls, outcomes)
        self._next()

    def _take(self) -> _Calls[Row, Answer]:
        """The calls that wait, up to a full batch; those given up by their callers are dropped."""
        calls: _Calls[Row, Answer] = []
        room = self._max_batch_rows
        while self._queue and (not calls or len(self._queue[0].rows) <= room):
            call = self._queue.popleft()
            self.queued_rows -= len(call.rows)
            if not call.future.done():
                calls.append(call)
                room -= len(call.rows)
        return calls

    def _opened(self, release: Release, calls: _Calls[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls by a release whose model may be closed."""
        try:
            self._open(release)
        except BaseException as error:
            return [_for_future(release, error)] * len(calls)
        return self._answered(release, calls)

    def _open(self, release: Release) -> None:
        try:
            release.open()
        except Failing as error:  # it ended since the last batch
            self._observer.failed(release, error.how)
            release.open()

    def _answered(self, release: Release, calls: _Calls[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls by a release that is held open, and free it."""
        try:
            return self._outcomes(release, calls)
        finally:
            release.free()

    def _outcomes(self, release: Release, calls: _Calls[Row, Answer]) -> list[_Outcome[Answer]]:
        """Answer the calls in one batch; when that fails, each by itself: none fails another."""
        try:
            rows = self._join([call.rows for call in calls]) if len(calls) > 1 else calls[0].rows
            answers = self._timed(release, rows, len(calls))
        except Failing as error:
            self._observer.failed(release, error.how)
            for _ in calls:
                release.record.failed()
            return [error] * len(calls)
        except BaseException as error:  # a panic in a Rust library is no Exception
            if len(calls) == 1:
                if not isinstance(error, BadInput):
                    release.record.failed()
                return [_for_future(release, error)]
            return [outcome for call in calls for outcome in self._outcomes(release, [call])]
        outcomes: list[_Outcome[Answer]] = []
        start = 0
        for call in calls:
            outcomes.append(Answered(answers[start : start + len(call.rows)], release))
            start += len(call.rows)
        return outcomes

    def _timed(self, release: Release, rows: Sequence[Row], calls: int) -> Sequence[Answer]:
        started = time.perf_counter()
        answers = self._run(release, rows)
        seconds = time.perf_counter() - started
        if len(answers) != len(rows):
            raise RuntimeError(f"{release} gave {len(answers)} answers to {len(rows)} rows")
        self._pace.note(release, seconds)
        release.record.answered(calls, seconds)
        release.sample.add(rows, answers)
        self._observer.batched(release, len(rows), seconds)
        return answers

    def _finish(self, calls: _Calls[Row, Answer], outcomes: list[_Outcome[Answer]]) -> None:
        for call, outcome in zip(calls, outcomes, strict=True):
            if call.future.done():
                continue
            if isinstance(outcome, Answered):
                call.future.set_result(outcome)
            else:
                call.future.set_exception(outcome)


def _for_future(release: Release, raised: BaseException) -> Exception:
    """What was raised, as an error that a future takes."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"{release} panicked: {raised!r}")
    error.__cause__ = raised
    return error


class _Pace:
    """How long a batch of the live release takes: a moving average, from its warm-up on."""

    def __init__(self) -> None:
        self._release: Release | None = None
        self._seconds = 0.0

    def seconds(self, release: Release) -> float:
        if self._release is not release:
            self._release, self._seconds = release, release.row_seconds
        return self._seconds

    def note(self, release: Release, seconds: float) -> None:
        self._seconds += SMOOTHING * (seconds - self.seconds(release))
