"""What scores one part after the other, and threads that do so side by side."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass

from pyarrow import parquet

from bentos.registry.client import Registry
from bentos.scoring.job import Job, result
from bentos.scoring.model import admitted
from bentos.scoring.tables import TROUBLES, Folder
from bentos.serving.budget import CannotOpen
from bentos.serving.failures import FailedTooOften, Failing
from bentos.settings import settings

OF_PROCESSES = (CannotOpen, Failing, FailedTooOften)  # that models run in


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

    @property
    def is_graph(self) -> bool:
        """Whether threads may ask its version at once, without waiting for each other."""
        return self._release.runs == "onnx"

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


def in_threads(worker: Worker, parts: list[str], count: int) -> Iterator[Scored]:
    """Score parts in threads of this process, in the order in which they get done."""
    with ThreadPoolExecutor(count, thread_name_prefix="score") as pool:
        waiting = [pool.submit(worker.score, part) for part in parts]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)
