"""The metrics of a process, and of all workers beside it, as Prometheus reads them."""

import os
import re
from functools import cache
from pathlib import Path

import psutil
from anyio.to_thread import run_sync
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.requests import Request
from starlette.responses import Response

from bentos.settings import settings
from bentos.web.bounded import Bounded
from bentos.web.metrics import DRIFT, NUMBERS, WORKER_BYTES

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"

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
