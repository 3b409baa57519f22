"""What Triton calls the statistics of a model: its calls and batches, as the metrics count them.

Format: `docs/protocol/extension_statistics.md` of https://github.com/triton-inference-server/server
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec
from anyio.to_thread import run_sync

from bentos.serving.release import Release
from bentos.web.metrics import BATCH_ROWS, BATCH_SECONDS, NUMBERS, REQUEST_SECONDS, REQUESTS
from bentos.web.plain import Values

SERVICE = "models"
DOORS = ("", "/invocations", "/infer", "/ModelInfer", "/ModelStreamInfer")  # behind the name
NANO = 1_000_000_000


class Duration(msgspec.Struct, frozen=True):
    """How many there were, and the nanoseconds of all of them."""

    count: int = 0
    ns: int = 0


class Parts(msgspec.Struct, frozen=True):
    """Calls by how they ended, and batches by what took their time; what nobody counts is 0."""

    success: Duration = Duration()
    fail: Duration = Duration()
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()


class Statistics(msgspec.Struct, frozen=True):
    """A version, and what its model answered: rows and batches, whichever version gave them."""

    name: str
    version: str
    inference_count: int
    execution_count: int
    inference_stats: Parts
    last_inference: int = 0
    batch_stats: tuple[()] = ()


async def statistics(releases: Iterable[Release]) -> list[Statistics]:
    """Those of each release, over all workers and since they started."""
    counts = await run_sync(_Counts)
    return [counts.of(release) for release in releases]


class _Counts:
    """What is counted now, by models and doors."""

    def __init__(self) -> None:
        totals = {metric.name: values for metric, values in NUMBERS.totals()}
        self._rows: Values = totals[BATCH_ROWS.name]
        self._batches: Values = totals[BATCH_SECONDS.name]
        self._seconds: Values = totals[REQUEST_SECONDS.name]
        self._calls: dict[tuple[str, bool], float] = defaultdict(float)
        for (service, route, status), (count,) in totals[REQUESTS.name].items():
            if service == SERVICE:
                self._calls[route, status == "200"] += count

    def of(self, release: Release) -> Statistics:
        name, version = release.version.name, release.version.version
        routes = [f"{name}{door}" for door in DOORS]
        good, bad = (int(sum(self._calls[route, ok] for route in routes)) for ok in (True, False))
        seconds = sum(self._seconds.get((SERVICE, route), (0.0,))[-1] for route in routes)
        *batches, computing = self._batches.get((name,), (0.0,))
        rows, executions = self._rows.get((name,), (0.0,))[-1], int(sum(batches))
        parts = Parts(
            success=Duration(good, int(seconds * NANO)),
            fail=Duration(bad),
            compute_infer=Duration(executions, int(computing * NANO)),
        )
        return Statistics(name, version, int(rows), executions, parts)
