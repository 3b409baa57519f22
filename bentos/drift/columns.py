"""Rows as services have them, made columns that can be counted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np

from bentos.serving.sample import Part
from bentos.serving.table import Table
from bentos.tensors import Batch
from bentos.tensors.batch import Array
from bentos.tensors.schema import PROBABILITIES

MOST_COLUMNS = 256
NAMELESS = "value"

Columns: TypeAlias = dict[str, Array]


def columns(rows: Sequence[Any] | Batch, names: Sequence[str] = ()) -> Columns:
    """Arrays (rows,) by name, of numbers or of Python's texts and None; MOST_COLUMNS at most.

    `names` are for rows that have none. Rows of several numbers become as many columns; of larger
    tensors, as images, the mean of each row is counted. What is neither number nor text is left
    out: times, bytes, nested values.
    """
    return dict(islice(_flat(_named(rows, names), names), MOST_COLUMNS)) if len(rows) else {}


def joined(parts: Sequence[Part]) -> Sequence[Part]:
    """Batches as one, where they have the same columns: many small ones are counted as fast."""
    try:
        return [(_join([rows for rows, _ in parts]), _join([answers for _, answers in parts]))]
    except ValueError:
        return parts


def _join(batches: Sequence[Sequence[Any]]) -> Sequence[Any]:
    if any(isinstance(batch, Table) for batch in batches):
        return Table.join(batches)
    return [row for batch in batches for row in batch]


def _named(rows: Sequence[Any] | Batch, names: Sequence[str]) -> Mapping[str, Any]:
    if isinstance(rows, Batch):
        return rows
    if isinstance(rows, Table):
        return {name: rows.batch[name] for name in rows.batch if name != PROBABILITIES}
    first = rows[0]
    if isinstance(first, msgspec.Struct):
        values = zip(*map(msgspec.structs.astuple, rows), strict=True)
        return dict(zip(first.__struct_fields__, values, strict=True))
    return {names[0] if len(names) == 1 else "": rows}


def _flat(named: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Array]]:
    for name, values in named.items():
        array = _array(values)
        if array is None:
            continue
        if array.ndim == 1:
            yield name or NAMELESS, array
        elif array.ndim == 2 and array.shape[1] <= MOST_COLUMNS:
            yield from zip(_parts(name, names, array.shape[1]), array.T, strict=True)
        elif array.dtype.kind != "O" and array.size:
            yield name or NAMELESS, array.reshape(len(array), -1).mean(axis=1, dtype=np.float64)


def _parts(name: str, names: Sequence[str], width: int) -> Iterable[str]:
    if name:
        return (f"{name}[{place}]" for place in range(width))
    return names if len(names) == width else map(str, range(width))


def _array(values: Any) -> Array | None:
    """Numbers, or objects that are texts or None; None for others."""
    try:
        array = values if isinstance(values, np.ndarray) else _of_list(values)
    except (TypeError, ValueError):  # rows of several lengths, or of several kinds
        return None
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype.kind != "O":
        return array if array.dtype.kind in "biuf" else None
    kinds = {type(value) for value in array.ravel()} - {type(None)}
    if kinds <= {str}:
        return array
    try:
        return array.astype(np.float64) if kinds <= {bool, int, float} else None
    except OverflowError:
        return None


def _of_list(values: Sequence[Any]) -> Array:
    kinds = set(map(type, values)) - {type(None)}
    return np.array(values, dtype=object if kinds <= {str} else None)
