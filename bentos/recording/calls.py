"""Recorded calls as tables: one row for each row that was asked.

`time` (UTC), `request`, the caller's id; `row`, from 0 in the call; `version`; then the model's
columns, `in.NAME` and `out.NAME`. A model's files lie at `model=NAME/day=YYYY-MM-DD/`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from bentos.recording.columns import from_arrow, hashed, is_hashed, to_arrow
from bentos.settings import RecordSettings
from bentos.tensors import Batch
from bentos.tensors.batch import Array

GIVEN, GAVE = "in.", "out."
MODEL = b"ascenso.model"
LONGEST = 200  # bytes of a folder's name


class Taken(NamedTuple):
    """Rows of one batch that are recorded.

    `calls` are ids, with the first of the rows that are of that call, and how many there are.
    """

    model: str
    version: str
    time: datetime
    calls: Sequence[tuple[str, int, int]]
    inputs: Batch
    answers: Batch

    @property
    def kind(self) -> tuple[object, ...]:
        """The same for what goes into one file."""
        return (self.model, self.time.date(), _kinds(self.inputs), _kinds(self.answers))


@dataclass(frozen=True)
class Recorded:
    """Recorded rows, in columns: those of `hashed` are digests, left-out ones are missing."""

    times: Array
    requests: list[str]
    rows: list[int]
    versions: list[str]
    inputs: Batch
    answers: Batch
    hashed: frozenset[str] = frozenset()

    @property
    def ids(self) -> list[str]:
        """What each row is called: the id of its call, and its number in it."""
        return [f"{name}#{row}" for name, row in zip(self.requests, self.rows, strict=True)]


def place(model: str) -> str:
    """The folder of a model's recordings."""
    quoted = quote(model, safe="")
    if len(quoted) > LONGEST:
        quoted = f"{quoted[:100]}~{sha256(model.encode()).hexdigest()}"
    return f"model={quoted}"


def day(model: str, time: datetime) -> str:
    """The folder of the calls to a model on the day of a time."""
    return f"{place(model)}/day={time:%Y-%m-%d}"


def table(taken: Sequence[Taken], settings: RecordSettings, key: bytes) -> pa.Table:
    """What was taken of one kind, as a table."""
    calls = [(one, *call) for one in taken for call in one.calls]
    counts = [rows for *_, rows in calls]
    about = {
        "time": pa.array(
            np.repeat([one.time for one, *_ in calls], counts), pa.timestamp("us", "UTC")
        ),
        "request": pa.array(np.repeat([name for _, name, *_ in calls], counts), pa.string()),
        "row": pa.array(
            [row for *_, first, rows in calls for row in range(first, first + rows)], pa.int32()
        ),
        "version": pa.array(np.repeat([one.version for one, *_ in calls], counts), pa.string()),
    }
    inputs = Batch.concat([one.inputs for one in taken])
    answers = Batch.concat([one.answers for one in taken])
    kept = [*_kept(GIVEN, inputs, settings, key), *_kept(GAVE, answers, settings, key)]
    fields = [*(pa.field(name, array.type) for name, array in about.items())]
    schema = pa.schema([*fields, *(f for f, _ in kept)], {MODEL: taken[0].model.encode()})
    return pa.table([*about.values(), *(array for _, array in kept)], schema=schema)


def recorded(stored: pa.Table) -> Recorded:
    """What a table holds. Raises KeyError where it is none of ours."""
    sides: dict[str, dict[str, Array]] = {GIVEN: {}, GAVE: {}}
    digests = set[str]()
    for at, field in enumerate(stored.schema):
        for side, columns in sides.items():
            if field.name.startswith(side):
                name = field.name.removeprefix(side)
                columns[name] = from_arrow(field, _whole(stored.column(at)))
                if is_hashed(field):
                    digests.add(name)
    return Recorded(
        stored["time"].to_numpy().astype("datetime64[us]"),
        stored["request"].to_pylist(),
        stored["row"].to_pylist(),
        stored["version"].to_pylist(),
        _batch(sides[GIVEN], len(stored)),
        _batch(sides[GAVE], len(stored)),
        frozenset(digests),
    )


def _kept(
    side: str, batch: Batch, settings: RecordSettings, key: bytes
) -> Iterator[tuple[pa.Field, pa.Array]]:
    for name, values in batch.items():
        if name in settings.hash:
            yield hashed(side + name, values, key)
        elif name not in settings.omit:
            yield to_arrow(side + name, values)


def _batch(columns: Mapping[str, Array], rows: int) -> Batch:
    return Batch(columns) if columns else Batch.of_block((), np.zeros((rows, 0)))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array, which starts where its memory does."""
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _kinds(batch: Batch) -> tuple[object, ...]:
    return tuple((name, values.dtype.str, values.shape[1:]) for name, values in batch.items())
