"""A replay: a version is asked the newest recorded rows; its answers are held against others."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from bentos.recording.calls import recorded
from bentos.recording.comparing import Comparison, Report
from bentos.recording.reader import newest
from bentos.recording.replaying import CannotReplay, Replayer
from bentos.recording.store import Store
from bentos.serving.release import Contract, Release
from bentos.tensors.batch import Array

ANSWERED = "what was answered"


@dataclass(frozen=True)
class Replayed:
    """What a replay found, and the numbers before and after that it was found from."""

    report: Report
    numbers: Mapping[str, tuple[Array, Array]]


def replayed(
    place: Store,
    release: Release,
    contract: Contract,
    since: datetime,
    most: int,
    tolerance: float,
    against: Release | None = None,
    tell: Callable[[int], None] = lambda rows: None,
) -> Replayed:
    """Ask a release the newest `most` rows since a time; `tell` hears how many are compared.

    Raises CannotReplay, StoreUnavailable or OSError.
    """
    tables = newest(place, release.version.name, since, most)
    with held(release):
        if against is None:
            return compared(tables, release, contract, tolerance, tell=tell)
        with held(against):
            return compared(tables, release, contract, tolerance, against, tell)


def compared(
    tables: Iterator[pa.Table],
    release: Release,
    contract: Contract,
    tolerance: float,
    against: Release | None = None,
    tell: Callable[[int], None] = lambda rows: None,
) -> Replayed:
    """As `replayed`, of tables, by releases that are open."""
    model = release.version.name
    after, before = Replayer(release, contract), against and Replayer(against, contract)
    comparison = Comparison(tolerance)
    for table in tables:
        rows = recorded(table)
        answered, answers = after.answers(rows)
        given = rows.answers
        if before:
            known, given = before.answers(rows)
            if not known.all():
                raise CannotReplay(f"{against} itself fails at {np.sum(~known)} rows")
        try:
            comparison.add(rows, given, answered, answers)
        except ValueError as error:
            raise CannotReplay(f"{release} answers other columns: {error}") from None
        tell(comparison.rows)
    if not comparison.rows:
        raise CannotReplay(f"no rows of {model} are recorded since then")
    name = f"version {against.version.version}" if against else ANSWERED
    return Replayed(comparison.report(model, release.version.version, name), comparison.numbers())


@contextmanager
def held(release: Release) -> Iterator[None]:
    """A release whose model stays open meanwhile."""
    release.open()
    try:
        yield
    finally:
        release.free()
