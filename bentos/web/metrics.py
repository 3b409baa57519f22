"""Prometheus metrics of a process, and of all workers beside it.

BentoML sets PROMETHEUS_MULTIPROC_DIR before it starts its workers; `prometheus_client` must not
be imported before that. The parent process imports the services too, but serves no metrics.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import get_args

import psutil
from anyio.to_thread import run_sync
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import Request
from starlette.responses import Response

from bentos.refusal import Reason, Refusal
from bentos.serving.drift import Drift
from bentos.serving.observer import Erred
from bentos.serving.release import Release
from bentos.settings import settings
from bentos.web import plain
from bentos.web.bounded import Bounded

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
ROUTE = "ascenso.route"  # in the scope of a request: what it is counted as, if not its endpoint
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OUTWARD = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Of each call or batch:
REQUESTS = plain.Counter("ascenso_requests", "Requests answered", ["service", "route", "status"])
REQUEST_SECONDS = plain.Histogram(
    "ascenso_request_seconds", "Time to answer", ["service", "route"], SECONDS
)
BATCH_ROWS = plain.Histogram("ascenso_batch_rows", "Rows in a batch", ["model"], ROWS)
BATCH_SECONDS = plain.Histogram(
    "ascenso_batch_seconds", "Time a model took for a batch", ["model"], SECONDS
)
QUEUE_ROWS = plain.Gauge(
    "ascenso_queue_rows", "Rows that waited when the last batch began", ["model"]
)
WORKER_BYTES = plain.Gauge(
    "ascenso_worker_memory_bytes", "Memory of a worker, and what it shares with others", ["pid"]
)
MODEL_BYTES = plain.Gauge(
    "ascenso_model_memory_bytes",
    "Memory of a model's open versions in all workers, as measured at their admission",
    ["model"],
)
RECORDED = plain.Counter("ascenso_recorded_rows", "Rows that the recorder wrote", ["model"])
RECORDING_LOST = plain.Counter(
    "ascenso_recording_lost_rows", "Rows that were to be recorded, and were dropped",
    ["model", "why"],
)  # fmt: skip
OUTWARD_SECONDS = plain.Histogram(
    "ascenso_outward_seconds", "Time of calls to MLflow, S3 and PostgreSQL", ["to"], OUTWARD
)
OUTWARD_ERRORS = plain.Counter(
    "ascenso_outward_errors", "Calls of them that came to nothing", ["to"]
)
NUMBERS = plain.Numbers(
    [
        OUTWARD_SECONDS,
        OUTWARD_ERRORS,
        REQUESTS,
        REQUEST_SECONDS,
        BATCH_ROWS,
        BATCH_SECONDS,
        QUEUE_ROWS,
        WORKER_BYTES,
        MODEL_BYTES,
        RECORDED,
        RECORDING_LOST,
    ]
)
# Of columns, over all workers already: each of them has the same.
DRIFT_PSI = plain.Gauge(
    "ascenso_drift_psi",
    "Population stability index of a column beside its reference, of the most shifted columns",
    ["model", "side", "column"],
)
DRIFT_SHARE = plain.Gauge(
    "ascenso_drift_share",
    "Share of a column's values that are missing, unknown, or outside of the reference's range",
    ["model", "side", "column", "what"],
)
DRIFT_ROWS = plain.Gauge("ascenso_drift_rows", "Rows that were counted for it", ["model"])
DRIFT = plain.Numbers([DRIFT_PSI, DRIFT_SHARE, DRIFT_ROWS])
DRIFT_COLUMNS = 16  # of a model and side
# Of what is rarer:
LIVE = Gauge(
    "ascenso_live",
    "Processes in which this version is live",
    ["model", "channel", "version"],
    multiprocess_mode="livesum",
)
SWAPS = Counter("ascenso_swaps", "Changes of the live version", ["model", "what"])
REFUSALS = Counter("ascenso_refusals", "Candidates turned down", ["model", "reason"])
FAILURES = Counter(
    "ascenso_process_failures", "Times that the process of a model failed", ["model", "how"]
)
ADMISSION_SECONDS = Histogram(
    "ascenso_admission_seconds", "Time to admit a version", ["model"], buckets=(*SECONDS, 30, 60)
)
COMPARED = Counter(
    "ascenso_trial_compared", "Calls that both answered", ["model", "version", "agreed"]
)
TRIED = Counter(
    "ascenso_trial_tried", "Calls that a canary answered, or failed", ["model", "version", "error"]
)
ERRORS = Counter(
    "ascenso_model_errors",
    "Calls that a model refused for what is in them, or failed at",
    ["model", "what"],
)
CACHE_HITS = Counter("ascenso_cache_hits", "Answers that were kept from before", ["model"])
CACHE_MISSES = Counter("ascenso_cache_misses", "Answers that were not kept", ["model"])
CACHE_FAILURES = Counter("ascenso_cache_failures", "Times that the cache could not be asked")
TALLY_LOST = Counter("ascenso_tally_lost", "Calls that could not be written to a tally")
LOOKED_AT = Gauge(
    "ascenso_registry_looked_at_seconds",
    "Time of the last good look at the registry, since 1970",
    multiprocess_mode="livemin",
)
DEGRADED = Gauge(
    "ascenso_degraded", "1 while the registry cannot be read", multiprocess_mode="livemax"
)


class Metrics:
    """Counts what the serving side reports; an Observer.

    Of a model that is known from the start, refusals and errors count from 0, so that the first
    is seen.
    """

    _told: tuple[tuple[plain.Gauge, plain.Labels], ...] = ()  # of columns

    def __init__(self, model: str | None = None) -> None:
        for reason in get_args(Reason) if model else ():
            REFUSALS.labels(model, reason)
        for what in get_args(Erred) if model else ():
            ERRORS.labels(model, what)

    def queued(self, release: Release, rows: int) -> None:
        """A batch begins, or the queue ran dry."""
        QUEUE_ROWS.set((release.version.name,), rows)

    def batched(self, release: Release, rows: int, seconds: float) -> None:
        """A batch ran."""
        model = (release.version.name,)
        BATCH_ROWS.observe(model, rows)
        BATCH_SECONDS.observe(model, seconds)

    def failed(self, release: Release, how: str) -> None:
        """The process of a release failed."""
        FAILURES.labels(release.version.name, how).inc()

    def erred(self, release: Release, what: Erred) -> None:
        """A model gave a call no answer."""
        ERRORS.labels(release.version.name, what).inc()

    def swapped(self, channel: str, before: Release | None, release: Release, what: str) -> None:
        """A release serves now."""
        model = release.version.name
        if before:
            LIVE.labels(model, channel, before.version.version).set(0)
        LIVE.labels(model, channel, release.version.version).set(1)
        SWAPS.labels(model, what).inc()
        if what != "rollback":
            ADMISSION_SECONDS.labels(model).observe(release.admission_seconds)

    def vacated(self, channel: str, release: Release) -> None:
        """A release left its slot."""
        self._forget()
        LIVE.labels(release.version.name, channel, release.version.version).set(0)

    def refused(self, model: str, refusal: Refusal) -> None:
        """A candidate was turned down."""
        REFUSALS.labels(model, refusal.reason).inc()

    def compared(self, challenger: str, agreed: bool) -> None:
        """A challenger answered a call that the champion answered too."""
        COMPARED.labels(*challenger.rsplit("/", 1), str(agreed).lower()).inc()

    def tried(self, challenger: str, error: bool) -> None:
        """A canary answered a call, or a challenger failed at one."""
        TRIED.labels(*challenger.rsplit("/", 1), str(error).lower()).inc()

    def drifted(self, release: Release, found: Drift) -> None:
        """What came to a release of late, beside what is usual, is known anew."""
        self._forget()
        told = list(drifts(release, found))
        for gauge, labels, value in told:
            gauge.set(labels, value)
        self._told = tuple((gauge, labels) for gauge, labels, _ in told)

    def _forget(self) -> None:
        """Tell no more of columns, which may be those of another version."""
        for gauge, labels in self._told:
            gauge.drop(labels)
        self._told = ()

    def weighed(self, models: Mapping[str, int]) -> None:
        """So much memory do the open models of this process take."""
        MODEL_BYTES.values = {(name,): [float(size)] for name, size in models.items() if size}

    def looked(self, trouble: str) -> None:
        """A look at the registry ended."""
        DEGRADED.set(1 if trouble else 0)
        if not trouble:
            LOOKED_AT.set_to_current_time()
        share()


def drifts(release: Release, found: Drift) -> Iterator[tuple[plain.Gauge, plain.Labels, float]]:
    """The numbers of the columns that are shifted most."""
    model = release.version.name
    yield DRIFT_ROWS, (model,), found.rows
    for side, columns in (("inputs", found.columns), ("outputs", found.outputs)):
        worst = sorted(columns, key=lambda name: -(columns[name].psi or 0))[:DRIFT_COLUMNS]
        for name in worst:
            column, labels = columns[name], (model, side, name)
            if column.psi is not None:
                yield DRIFT_PSI, labels, column.psi
            for what in ("missing", "unknown", "outside"):
                share = getattr(column, what)
                if share is not None:
                    yield DRIFT_SHARE, (*labels, what), share


def called_out(to: str, seconds: float, failed: bool) -> None:
    """A call to one of those ended that the services need."""
    OUTWARD_SECONDS.observe((to,), seconds)
    OUTWARD_ERRORS.add((to,), int(failed))


_process = cache(psutil.Process)


def share() -> None:
    """Lay the plain numbers beside those of the other workers."""
    whole = _process(os.getpid()).memory_info().rss >> 20 << 20  # MiB: it changes at every look
    WORKER_BYTES.set((str(os.getpid()),), whole)
    if folder := os.environ.get(MULTIPROC_DIR):
        NUMBERS.share(Path(folder))


async def metrics(request: Request) -> Response:
    """`GET /metrics`: all workers together."""
    return Response(await run_sync(_collect), media_type=CONTENT_TYPE_LATEST)


def _collect() -> bytes:
    folder = os.environ.get(MULTIPROC_DIR)
    if not folder:
        return _written(REGISTRY, None) + _written(_plain(), None)
    _bury(Path(folder))
    registry = _plain()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return _written(registry, Path(folder))


def _written(registry: CollectorRegistry, folder: Path | None) -> bytes:
    bounded = CollectorRegistry()
    bounded.register(Bounded(registry, settings().metrics.models, folder))
    return generate_latest(bounded)


def _plain() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(NUMBERS)
    registry.register(DRIFT)
    return registry


def _bury(folder: Path) -> None:
    """Drop the live gauges of workers that died."""
    for path in folder.glob("gauge_live*.db"):
        found = re.search(r"_(\d+)\.db$", path.name)
        if found and not psutil.pid_exists(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]
