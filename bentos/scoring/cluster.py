"""Processes that score parts side by side: Ray's, on this machine or on a cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError
from ray.util import ActorPool

from bentos.scoring.job import Job
from bentos.scoring.workers import Scored, Worker

STORE_BYTES = 100 * 1024 * 1024  # nothing but names and numbers goes between the processes


@contextmanager
def running(address: str, workers: int) -> Iterator[int]:
    """Ray, at an address or else on this machine; gives how many workers there may be."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address:
        ray.init(address, log_to_driver=False)
    else:
        ray.init(
            "local",
            num_cpus=workers or None,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            configure_logging=False,
            log_to_driver=False,
        )
    try:
        yield workers or int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def score(
    job: Job, source: str, output: str, registry: str, parts: list[str], workers: int
) -> Iterator[Scored]:
    """Score parts, in the order in which they get done.

    A worker that dies is started again, twice. Raises OSError when that does not help.
    """
    actor = ray.remote(num_cpus=1, max_restarts=2, max_task_retries=2)(Worker)
    count = min(workers, len(parts))
    pool = ActorPool([actor.remote(job, source, output, registry) for _ in range(count)])
    try:
        yield from pool.map_unordered(lambda worker, part: worker.score.remote(part), parts)
    except RayError as error:
        raise OSError(f"a worker of Ray failed: {error}") from error
