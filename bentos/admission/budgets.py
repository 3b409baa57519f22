"""What a version may cost: time for a row, time to admit it, memory."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import psutil
from numpy.typing import NDArray

from bentos.flavors.loading import Predictor
from bentos.refusal import Refusal
from bentos.serving.release import Runs

T = TypeVar("T")
WARM_UP_CALLS = 5
MEGABYTE = 1024 * 1024
SMALLEST = 256 * 1024  # bytes of a model of a few numbers
GRAPH_FACTOR = 8  # trees in ONNX Runtime; other graphs take less
NATIVE_FACTOR = 2


def warm_up(predict: Predictor, batch: NDArray[Any]) -> float:
    """Seconds for one row, the best of a few calls; a whole batch runs once as well."""
    try:
        predict(batch)
        return min(_timed(predict, batch[:1]) for _ in range(WARM_UP_CALLS))
    except Exception as error:
        raise Refusal("load", f"{type(error).__name__} while warming up: {error}") from error


def _timed(predict: Predictor, batch: NDArray[Any]) -> float:
    started = time.perf_counter()
    predict(batch)
    return time.perf_counter() - started


def weight(folder: Path, compiled: Path, runs: Runs) -> int:
    """About how many bytes an open model takes, by the files that it is opened from.

    A process that grows by some models one after the other shows no single one well: the allocator
    gives what others left. So the factors are from processes that opened nothing else.
    """
    if runs == "onnx" and compiled.is_file():
        return SMALLEST + GRAPH_FACTOR * compiled.stat().st_size
    files = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return SMALLEST + NATIVE_FACTOR * files


class MemoryBudget:
    """How much the process may grow while a version loads."""

    def __init__(self, budget_mb: int) -> None:
        self.budget_mb = budget_mb
        self.process = psutil.Process()
        self.before = self.process.memory_info().rss

    def check(self) -> None:
        """Raise Refusal if the process has grown beyond it."""
        grown = (self.process.memory_info().rss - self.before) // MEGABYTE
        if grown > self.budget_mb:
            raise Refusal(
                "memory",
                f"the version took {grown} MB; the budget is {self.budget_mb} "
                "MB (admission.memory_mb)",
            )


def within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread that is given up when it hangs."""
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = Thread(target=run, name="warm-up", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Refusal(
            "latency", f"the warm-up took more than {seconds:.0f} s (admission.deadline_seconds)"
        )
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
