"""A run over a table: what is to be done, and doing it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from pyarrow import ArrowInvalid

from bentos.registry.client import Registry, Version
from bentos.registry.digests import signed
from bentos.scoring.job import Job, agree, noted, result
from bentos.scoring.model import admitted, promoted
from bentos.scoring.rows import Columns
from bentos.scoring.schemas import SchemaColumns
from bentos.scoring.tables import Folder, Unfit, find
from bentos.scoring.workers import Scored, Worker, in_threads
from bentos.settings import Settings


@dataclass(frozen=True)
class Run:
    """The parts of a table that are not scored yet."""

    job: Job
    source: str
    output: str
    registry: str
    done: int
    left: list[str]

    @property
    def version(self) -> str:
        """The version that scores, as `model/version`."""
        return f"{self.job.model}/{self.job.version}"

    def go(self, address: str, workers: int) -> Iterator[Scored]:
        """Score what is left, on the Ray cluster at an address, or here.

        Raises Unfit at the first part that cannot be scored.
        """
        if not self.left:
            return
        for scored in self._scored(address, workers):
            if scored.trouble:
                raise Unfit(scored.trouble)
            yield scored

    def _scored(self, address: str, workers: int) -> Iterator[Scored]:
        """By threads of this process where they need not wait for each other, or by Ray."""
        where = self.job, self.source, self.output, self.registry
        if not address and (worker := Worker(*where)).is_graph:
            yield from in_threads(worker, self.left, workers or os.cpu_count() or 1)
            return
        from bentos.scoring.cluster import running, score  # Ray takes seconds

        with running(address, workers) as count:
            yield from score(*where, self.left, count)


def plan(
    registry: Registry,
    settings: Settings,
    model: str,
    number: int,
    source: str,
    output: str,
    keep: tuple[str, ...] = (),
) -> Run:
    """See what is to be done, and note it in the output.

    The version is `number`, or for 0 the one that began the output, or else the promoted one.
    It is admitted here, and a part held against it, before anything is written. Raises Unfit or
    Refusal.
    """
    folder, parts = find(source)
    target = Folder(output)
    before = noted(target)
    begun = int(before.version) if before else 0
    version = signed(registry, _version(registry, settings, model, number or begun))
    job = Job.of(version, source, keep)
    if before is None or before == job:
        _, columns = admitted(registry, version, settings, keep)
        _check(columns, model, folder, parts[0])
    agree(target, job)
    scored = set(target.parts())
    left = [part for part in parts if result(part) not in scored]
    return Run(job, folder.uri, output, registry.address, len(parts) - len(left), left)


def _check(columns: Columns | SchemaColumns, model: str, folder: Folder, part: str) -> None:
    try:
        with folder.batches(part, columns.in_csv(model)) as batches:
            columns.schema(batches.schema)
    except (Unfit, ArrowInvalid) as error:
        raise Unfit(f"{part}: {error}") from error


def _version(registry: Registry, settings: Settings, model: str, number: int) -> Version:
    if number:
        return registry.version(model, str(number))
    return promoted(registry, model, settings)
