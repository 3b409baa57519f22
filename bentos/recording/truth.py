"""The truth, joined later: what should have been answered, and how good the answers were.

Truths lie beside the recordings, at `truth/model=NAME/`, as Parquet of `request`, `row`, `truth`.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from bentos.recording.calls import GAVE, Recorded, place, recorded
from bentos.recording.store import Store
from bentos.tensors.batch import Array
from bentos.tensors.schema import PROBABILITIES

FOLDER = "truth"
COLUMNS = ("request", "row", "truth")


class NoTruth(ValueError):
    """A file, or recordings, that no truth can be read from: the message says what is wrong."""


class Day(msgspec.Struct, frozen=True):
    """How good the answers of one version were on one day (UTC).

    `metrics` are accuracy and f1 (the mean over the labels) of labels, mae and rmse of numbers.
    """

    day: str
    version: str
    rows: int
    metrics: dict[str, float]


class Truth(msgspec.Struct, frozen=True):
    """Metrics over time of one column of a model's answers, the oldest day first."""

    model: str
    column: str
    truths: int
    joined: int
    days: tuple[Day, ...]


def read(path: Path) -> pa.Table:
    """`request`, `row` (0 where it is left out) and `truth` of a CSV or Parquet file.

    Raises NoTruth or OSError.
    """
    try:
        table = parquet.read_table(path) if path.suffix == ".parquet" else _of_csv(path)
    except (pa.ArrowInvalid, csv.Error, UnicodeDecodeError) as error:
        raise NoTruth(f"{path} cannot be read: {error}") from error
    if missing := {"request", "truth"} - set(table.column_names):
        raise NoTruth(f"{path} has no column {min(missing)!r}: it has {table.column_names}")
    if not len(table):
        raise NoTruth(f"{path} has no rows")
    return _checked(table, path)


def store(place_of: Store, model: str, table: pa.Table) -> str:
    """Keep truths; the same file twice is kept once. Gives the name."""
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    digest = sha256(buffer.getvalue()).hexdigest()[:16]
    name = f"{FOLDER}/{place(model)}/{digest}.parquet"
    buffer.seek(0)
    place_of.write(name, buffer)
    return name


def write(place_of: Store, found: Truth) -> None:
    """Keep the metrics beside the truths, for whoever shows them."""
    content = io.BytesIO(msgspec.json.encode(found))
    place_of.write(f"{FOLDER}/{place(found.model)}/metrics.json", content)


def known(place_of: Store, model: str) -> Iterator[pa.Table]:
    """All truths of a model that were kept."""
    for name in place_of.names(f"{FOLDER}/{place(model)}"):
        if not name.endswith(".parquet"):
            continue
        with place_of.read(name) as file:
            yield parquet.read_table(file)


def measured(
    model: str, tables: Sequence[pa.Table], recordings: Iterator[pa.Table], column: str = ""
) -> Truth:
    """Metrics of a model's answers in recordings against its truths.

    Of several columns of answers, `column` says which. Raises NoTruth.
    """
    wanted = {
        (name, row): truth
        for table in tables
        for name, row, truth in zip(*(table[part].to_pylist() for part in COLUMNS), strict=True)
    }
    found: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    joined = 0
    for table in recordings:
        calls = recorded(_of_requests(table, wanted))
        if not len(calls.rows):
            continue
        column = _column(calls, column)
        for key, pair in _pairs(calls, column, wanted):
            found.setdefault(key, []).append(pair)
            joined += 1
    days = tuple(
        Day(day, version, len(pairs), _metrics(pairs))
        for (day, version), pairs in sorted(found.items())
    )
    return Truth(model, column, len(wanted), joined, days)


def _of_csv(path: Path) -> pa.Table:
    """All text at first: a request's id may look like a number."""
    from pyarrow import csv as arrow

    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    types = dict.fromkeys(names, pa.string())
    return arrow.read_csv(
        path, convert_options=arrow.ConvertOptions(column_types=types, strings_can_be_null=True)
    )


def _checked(table: pa.Table, path: Path) -> pa.Table:
    truth = table["truth"]
    if pa.types.is_string(truth.type) or pa.types.is_large_string(truth.type):
        truth = _numbers(truth) or truth
    try:
        row = table["row"] if "row" in table.column_names else pa.array([0] * len(table))
        columns = {
            "request": table["request"].cast(pa.string()),
            "row": row.cast(pa.int32()),
            "truth": truth,
        }
    except pa.ArrowInvalid as error:
        raise NoTruth(f"{path}: {error}") from error
    for name, values in columns.items():
        if values.null_count:
            raise NoTruth(f"{path}: {values.null_count} rows have no {name}")
    return pa.table(columns)


def _numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _of_requests(table: pa.Table, wanted: dict[tuple[str, int], Any]) -> pa.Table:
    ids = pa.array(sorted({name for name, _ in wanted}), pa.string())
    return table.filter(compute.is_in(table["request"], value_set=ids))


def _column(calls: Recorded, column: str) -> str:
    names = list(_flat(calls))
    if not column and len(names) == 1:
        return names[0]
    if column in names:
        return column
    raise NoTruth(f"{GAVE}{column or '?'}: the answers have {names}; say which by --column")


def _flat(calls: Recorded) -> dict[str, Array]:
    """The columns of the answers; of those of several numbers each place, as NAME[0]."""
    flat: dict[str, Array] = {}
    for name, values in calls.answers.items():
        if name == PROBABILITIES:
            continue
        if values.ndim == 1:
            flat[name] = values
        elif values.ndim == 2:
            flat |= {f"{name}[{place}]": values[:, place] for place in range(values.shape[1])}
    return flat


def _pairs(
    calls: Recorded, column: str, wanted: dict[tuple[str, int], Any]
) -> Iterator[tuple[tuple[str, str], tuple[Any, Any]]]:
    values = _flat(calls)[column].tolist()
    days = np.datetime_as_string(calls.times, unit="D")
    for at, key in enumerate(zip(calls.requests, calls.rows, strict=True)):
        if key in wanted:
            yield (str(days[at]), calls.versions[at]), (wanted[key], values[at])


def _metrics(pairs: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    truths, answers = zip(*pairs, strict=True)
    if all(isinstance(value, float) for value in answers):
        try:
            apart: Array = np.asarray(answers, float) - np.asarray(truths, float)
        except (TypeError, ValueError):
            raise NoTruth("the answers are numbers, and the truths are not") from None
        return {"mae": float(np.abs(apart).mean()), "rmse": float(np.sqrt((apart**2).mean()))}
    one, other = list(map(_label, truths)), list(map(_label, answers))
    right = sum(a == b for a, b in zip(one, other, strict=True))
    return {"accuracy": right / len(one), "f1": _f1(one, other)}


def _label(value: Any) -> str:
    """A label as text: the number 1 is the label 1, however a file writes it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _f1(truths: Sequence[str], answers: Sequence[str]) -> float:
    from sklearn.metrics import f1_score

    labels = sorted({*truths, *answers})
    return float(f1_score(truths, answers, labels=labels, average="macro", zero_division=0.0))
