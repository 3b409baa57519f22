"""Processes that score parts side by side: Ray's, on this machine or on a cluster."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import ray
from pyarrow import parquet
from ray.exceptions import RayError
from ray.util import ActorPool

from bentos.registry.client import Registry
from bentos.scoring.job import Job, result
from bentos.scoring.model import admitted
from bentos.scoring.tables import TROUBLES, Folder
from bentos.serving.budget import CannotOpen
from bentos.serving.failures import FailedTooOften, Failing
from bentos.settings import settings

OF_PROCESSES = (CannotOpen, Failing, FailedTooOften)  # that models run in
STORE_BYTES = 100 * 1024 * 1024  # nothing but names and numbers goes between the processes


@dataclass(frozen=True)
class Scored:
    """A part that is done, or why it cannot be."""

    part: str
    rows: int = 0
    seconds: float = 0.0
    trouble: str = ""


class Worker:
    """Scores one part after the other with the job's version."""

    def __init__(self, job: Job, source: str, output: str, registry: str) -> None:
        with closing((opened := Registry(registry)).http):
            version = opened.version(job.model, job.version)
            self._release, self._columns = admitted(opened, version, settings(), job.keep)
        self._source, self._output = Folder(source), Folder(output)

    def score(self, part: str) -> Scored:
        """Write the scored form of a part."""
        started = time.perf_counter()
        try:
            self._release.open()
            try:
                rows = self._write(part)
            finally:
                self._release.free()
        except (*TROUBLES, *OF_PROCESSES) as error:
            return Scored(part, trouble=f"{part}: {error}")
        return Scored(part, rows, time.perf_counter() - started)

    def _write(self, part: str) -> int:
        types = self._columns.in_csv(self._release.version.name)
        rows = 0
        with self._source.batches(part, types) as batches:
            schema = self._columns.schema(batches.schema)
            with (
                self._output.writing(result(part)) as file,
                parquet.ParquetWriter(file, schema) as writer,
            ):
                for batch in batches:
                    answers = self._columns.score(self._release, batch)
                    arrays = [*batch.columns, *answers]
                    writer.write_batch(batch.from_arrays(arrays, schema=schema))
                    rows += batch.num_rows
        return rows


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
