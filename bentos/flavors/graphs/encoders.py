"""Transformers of categories, each made a table that the model itself fills in.

A text column is codes: 0 for a value that no encoder knows, 1 for none, then the known values.
So what an encoder makes of a value is looked up, and was computed by the encoder itself. To
scikit-learn a missing text is NaN, as pandas gives it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Column, Frame, Words
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import transformer
from bentos.process import without_warnings

STRANGER = "\x00 a value that no model was trained with"
EXACT_INTEGERS = 2**53


@dataclass(frozen=True)
class Encoding:
    """What an encoder makes of a column's values: rows by value, for an unknown one, for none."""

    rows: NDArray[Any]  # (values, width)
    unknown: NDArray[Any] | None  # None where it is refused
    missing: NDArray[Any] | None


Ask: TypeAlias = Callable[[list[Any]], Encoding]


@transformer("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
def encoder(b: Builder, model: Any, frame: Frame) -> Frame:
    """The columns that the encoder makes, in its order."""
    made: list[Column] = []
    for at, column in enumerate(frame):
        values = [value for value in model.categories_[at].tolist() if not _is_missing(value)]
        made += looked_up(b, column, values, partial(_table, model, at))
    return tuple(made)


def coded(b: Builder, column: Column, values: list[Any], refuses: bool) -> Frame:
    """One column: the place of each value in the list, NaN for none.

    An unknown value is refused, or is as good as none.
    """

    def places(asked: list[Any]) -> Encoding:
        rows = np.array([values.index(v) if v in values else np.nan for v in asked], np.float64)
        none = np.array([np.nan])
        return Encoding(rows[:, None], None if refuses else none, none)

    return looked_up(b, column, values, places)


def looked_up(b: Builder, column: Column, values: list[Any], ask: Ask) -> Frame:
    """The columns that are made of the values that a column may have."""
    if column.text is not None:
        return _from_text(b, column, column.text, values, ask)
    return _from_numbers(b, column, values, ask(values))


def _from_text(b: Builder, column: Column, door: str, values: list[Any], ask: Ask) -> Frame:
    """Columns by the code of a text."""
    words = b.words.setdefault(door, Words())
    renamed = dict(column.renamed)
    for value in values:
        if not isinstance(value, str):
            raise NoGraph(f"the text column {door!r} has the category {value!r}")
        words.code(value)
    by_code = [renamed.get(value, value) for value in words.values]
    table = ask([*by_code, renamed.get(None, math.nan)])
    if table.unknown is None:
        known = {value for value, now in zip(words.values, by_code, strict=True) if now in values}
        words.accepted = known if words.accepted is None else words.accepted & known
    missing = table.rows[-1]
    if table.missing is None and renamed.get(None) is None:
        b.refuse_missing([column])
    unknown = table.unknown if table.unknown is not None else np.zeros_like(missing)
    rows = np.concatenate([unknown[None], missing[None], table.rows[:-1]])  # in codes' order
    code = b.cast(b.select(column.tensor, [column.index]), np.int64)
    flat = b.node("Squeeze", code, b.constant(np.array([1])), dtype=np.int64)
    name = b.table(rows, door)
    made = b.node("Gather", name, flat, dtype=rows.dtype, axis=0)
    return b.frame(made, _far(rows), _missing_doors(rows, column))


def _from_numbers(b: Builder, column: Column, values: list[Any], table: Encoding) -> Frame:
    """Columns by which of the known numbers a number is."""
    if any(isinstance(value, str) for value in values):
        raise NoGraph("a column of numbers has categories of text")
    if any(abs(value) > EXACT_INTEGERS for value in values):
        raise NoGraph("a category is a number above 2**53")
    known = np.array(values, dtype=np.float64)
    b.note(column, known)
    tensor = b.matrix((column,), np.float64)
    same = b.node("Equal", tensor, b.constant(known[None]), dtype=np.bool_)
    if table.unknown is None:
        _guard(b, same, tensor, column)
    if table.missing is None:
        b.refuse_missing([column])
    unknown = np.zeros(table.rows.shape[1:]) if table.unknown is None else table.unknown
    missing = unknown if table.missing is None else table.missing
    hot = b.cast(same, table.rows.dtype)
    if np.array_equal(table.rows, np.eye(len(known))) and not unknown.any() and not missing.any():
        return b.frame(hot, np.ones(len(known)))
    none = b.cast(b.node("IsNaN", tensor, dtype=np.bool_), table.rows.dtype)
    half = b.math("Add", b.math("Mul", none, 0.0), 0.5)
    index = b.node("ArgMax", b.concat([hot, none, half]), dtype=np.int64, axis=1, keepdims=0)
    rows = np.concatenate([table.rows, missing[None], unknown[None]])
    made = b.node("Gather", b.constant(rows), index, dtype=rows.dtype, axis=0)
    return b.frame(made, _far(rows), _missing_doors(rows, column))


def _guard(b: Builder, same: str, tensor: str, column: Column) -> None:
    found = b.reduce("ReduceMax", b.cast(same, np.float64))
    unknown = b.node("Equal", found, b.constant(0.0), dtype=np.bool_)
    here = b.node("Not", b.node("IsNaN", tensor, dtype=np.bool_), dtype=np.bool_)
    bad = b.node("And", unknown, here, dtype=np.bool_)
    b.guards.append((bad, "is a category that the model does not know", column.source or ""))


def _table(model: Any, at: int, values: list[Any]) -> Encoding:
    """Ask the encoder for each value of one column, and for an unknown one and none."""
    categories = model.categories_[at].tolist()
    own = {value for value in categories if not _is_missing(value)}
    text = any(isinstance(value, str) for value in own)
    unknown = _encoded(model, at, [STRANGER if text else _stranger(own)])
    missing = _encoded(model, at, [math.nan])
    known = [value for value in values if value in own]
    rows = _encoded(model, at, known) if known else None
    first = next(part for part in (rows, unknown, missing) if part is not None)
    blank = np.zeros(first.shape[1:], first.dtype)  # for what is refused, at the door or here
    table = np.empty((len(values), *blank.shape), first.dtype)
    table[[value not in own for value in values]] = blank if unknown is None else unknown[0]
    if rows is not None:
        table[[value in own for value in values]] = rows
    for position in (at for at, value in enumerate(values) if _is_missing(value)):
        table[position] = blank if missing is None else missing[0]
    return Encoding(table, *(None if part is None else part[0] for part in (unknown, missing)))


def _stranger(known: set[Any]) -> float:
    return max((abs(float(value)) for value in known), default=0.0) * 2 + 1


def _encoded(model: Any, at: int, values: list[Any]) -> NDArray[Any] | None:
    """One column's part of what the encoder makes of values; None where it refuses them."""
    rows = np.empty((len(values), len(model.categories_)), dtype=object)
    for other, categories in enumerate(model.categories_):
        rows[:, other] = categories[0]
    rows[:, at] = values
    if all(categories.dtype.kind in "biuf" for categories in model.categories_):
        rows = rows.astype(np.float64)
    try:
        with without_warnings():
            made = model.transform(rows)
    except ValueError:
        return None
    dense = np.asarray(made.toarray() if hasattr(made, "toarray") else made)
    start, stop = _span(model, at, dense.shape[1])
    return np.asarray(dense[:, start:stop])


def _span(model: Any, at: int, width: int) -> tuple[int, int]:
    """Where an encoder's columns for one of its inputs lie among all that it makes."""
    if type(model).__name__ == "OneHotEncoder":
        ends = np.cumsum([0, *model._n_features_outs])
        return int(ends[at]), int(ends[at + 1])
    each = width // len(model.categories_)
    return at * each, (at + 1) * each


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _far(rows: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.nan_to_num(np.abs(rows.astype(np.float64))).max(axis=0, initial=0.0))


def _missing_doors(rows: NDArray[Any], column: Column) -> frozenset[str]:
    """Where a table gives NaN, what came in is to blame."""
    if not np.isnan(rows.astype(np.float64)).any():
        return frozenset()
    return column.doors
