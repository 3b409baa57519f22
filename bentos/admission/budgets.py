"""What a version may cost: time for a row, time to admit it, memory."""

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil

from bentos.admission.networks import NETWORKS
from bentos.refusal import Refusal
from bentos.serving.release import Runs
from bentos.settings import Rules

T = TypeVar("T")
WARM_UP_CALLS = 5
MEGABYTE = 1024 * 1024
SMALLEST = 256 * 1024  # bytes of a model of a few numbers
GRAPH_FACTOR = 8  # trees in ONNX Runtime
NETWORK_FACTOR = 3  # a network's graph, which is numbers nearly all
NATIVE_FACTOR = 2


def warm_up(predict: Callable[[Any], Any], batch: Any, row: Any) -> float:
    """Seconds for one row, the best of a few calls; a whole batch runs once as well."""
    predict(batch)
    return min(_timed(predict, row) for _ in range(WARM_UP_CALLS))


def _timed(predict: Callable[[Any], Any], row: Any) -> float:
    started = time.perf_counter()
    predict(row)
    return time.perf_counter() - started


def check_latency(seconds: float, settings: Rules) -> None:
    """One row takes no longer than it may."""
    if seconds * 1000 > settings.latency_ms:
        raise Refusal(
            "latency",
            f"one row takes {seconds * 1000:.0f} ms; the budget is "
            f"{settings.latency_ms:.0f} ms (admission.latency_ms)",
        )


def weight(place: Path, runs: Runs, flavor: str) -> int:
    """About how many bytes an open model takes, by the files that it is opened from.

    A process that opens some models one after the other grows by less than they are: the allocator
    gives what others left. So the factors are from processes that opened nothing else.
    """
    files = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    graph = NETWORK_FACTOR if flavor in NETWORKS else GRAPH_FACTOR
    return SMALLEST + (graph if runs == "onnx" else NATIVE_FACTOR) * files


class MemoryBudget:
    """How much the process may grow while a version loads."""

    def __init__(self, budget_mb: int) -> None:
        self.budget_mb = budget_mb
        self.before = _used()

    def check(self) -> None:
        """Raise Refusal if the process has grown beyond it."""
        grown = (_used() - self.before) // MEGABYTE
        if grown > self.budget_mb:
            raise Refusal(
                "memory",
                f"the version took {grown} MB; the budget is {self.budget_mb} "
                "MB (admission.memory_mb)",
            )


def grown_by(call: Callable[[], T]) -> tuple[T, int]:
    """What a call gives, and by how many bytes the process is larger while that is kept."""
    gc.collect()
    if trim := getattr(
        ctypes.CDLL(None), "malloc_trim", None
    ):  # glibc's: what was freed goes back
        trim(0)
    before = _used()
    made = call()
    return made, max(0, _used() - before)


def _used() -> int:
    return int(psutil.Process().memory_info().rss)
