"""A batch, answered by a release: measured, told to who counts, and no call failing another."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias

from bentos.serving.failures import Failing
from bentos.serving.observer import Observer
from bentos.serving.pace import Pace
from bentos.serving.release import Release
from bentos.serving.spans import spans
from bentos.serving.waiting import Answer, Part, Row
from bentos.serving.witness import Ear, Witnesses
from bentos.tensors import BadInput

Run = Callable[[Release, Sequence[Row]], Sequence[Answer]]
Join: TypeAlias = Callable[[Sequence[Sequence[Any]]], Sequence[Any]]
Outcome = Sequence[Answer] | Exception
Parts = list[Part[Row, Answer]]

OTHERS = 8  # a batch may take so many times longer while others have its core or interpreter


class Engine(Generic[Row, Answer]):
    """Runs one batch at a time, in the loop or in a thread.

    `pace` is how long its batches take, `hold` for how long they would hold the loop.
    """

    def __init__(
        self,
        run: Run[Row, Answer],
        join: Join,
        observer: Observer,
        clock: Callable[[], float],
        witnesses: Witnesses | None,
    ) -> None:
        self.spans = spans()  # none: this process traces nothing
        self.pace = Pace()
        self.hold = Pace()
        self._run = self.spans.model(run) if self.spans else run
        self._join = join
        self._observer = observer
        self._clock = clock
        self._ear = Ear(witnesses)

    def opened(self, release: Release, parts: Parts[Row, Answer]) -> list[Outcome[Answer]]:
        """Answer the calls by a release whose model may be closed."""
        try:
            self._open(release)
        except BaseException as error:
            return [_for_future(release, error)] * len(parts)
        return self.held(release, parts)

    def _open(self, release: Release) -> None:
        try:
            release.open()
        except Failing as error:  # it ended since the last batch
            self._observer.failed(release, error.how)
            release.open()

    def held(self, release: Release, parts: Parts[Row, Answer]) -> list[Outcome[Answer]]:
        """Answer the calls by a release that is held open, and free it."""
        try:
            if self.spans:
                return self.spans.around(self._outcomes, release, parts)
            return self._outcomes(release, parts)
        finally:
            release.free()

    def _outcomes(self, release: Release, parts: Parts[Row, Answer]) -> list[Outcome[Answer]]:
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
        outcomes: list[Outcome[Answer]] = []
        start = 0
        for part in parts:
            outcomes.append(answers[start : start + part.size])
            start += part.size
        return outcomes

    def _timed(
        self, release: Release, rows: Sequence[Row], parts: Parts[Row, Answer]
    ) -> Sequence[Answer]:
        hearing = self._ear.at(release)
        started, worked = self._clock(), time.thread_time()
        answers = self._run(hearing, rows)
        worked = time.thread_time() - worked
        seconds = self._clock() - started
        if len(answers) != len(rows):
            raise RuntimeError(f"{release} gave {len(answers)} answers to {len(rows)} rows")
        self.pace.note(release, len(rows), seconds)
        alone = seconds if release.process else max(worked, seconds / OTHERS)
        self.hold.note(release, len(rows), alone)
        release.record.answered(sum(part.ends for part in parts), seconds)
        release.sample.add(rows, answers)
        self._observer.batched(release, len(rows), seconds)
        self._ear.tell(release, parts)
        return answers


def _for_future(release: Release, raised: BaseException) -> Exception:
    """What was raised, as an error that a future takes."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    error = RuntimeError(f"{release} panicked: {raised!r}")
    error.__cause__ = raised
    return error
