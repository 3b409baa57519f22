"""Rows to try a version with: its input example, else rows made of what the model knows."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors import examples, nested
from bentos.flavors.carried import Carried, Known
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.schemas import nullable
from bentos.process import without_warnings
from bentos.tensors import Batch, Column, Schema
from bentos.tensors.schema import OBJECTS

COUNT = 32
MOST_PROBES = 200
ANY_SIZE = 3  # of a dimension that may vary
START = np.datetime64("2025-01-01", "ns")


def samples_of(mlmodel: MLmodel, opened: Opened) -> tuple[Batch, bool]:
    """Rows of the version's schema, and whether they are made up."""
    example = examples.read(mlmodel, opened.carried)
    rows = example.batch(opened.schema) if example else None
    if rows is not None and rows.size:
        return rows, False
    return _answered(opened.predict, made_up(opened.schema, opened.carried)), True


def _answered(predict: Callable[[Batch], Batch], rows: Batch) -> Batch:
    """Those of the rows that a model answers; some take no number below zero."""
    if _answers(predict, rows):
        return rows
    for some in (rows, _positive(rows)):
        parts = [some.rows(at, at + 1) for at in range(some.size)]
        if good := [part for part in parts if _answers(predict, part)]:
            return Batch.concat(good)
    return rows


def _positive(rows: Batch) -> Batch:
    numbers = {name: values.dtype.kind in "if" for name, values in rows.items()}
    return Batch({name: np.abs(rows[name]) if numbers[name] else rows[name] for name in rows})


def made_up(schema: Schema, carried: Carried | None, count: int = COUNT) -> Batch:
    """Rows like those that the model was trained with, the same ones each time."""
    random = np.random.default_rng(0)
    single = schema.single
    if single is not None and carried is not None and carried.form != "columns":
        return Batch({"": _whole(carried, random, count)})
    if single is not None and len(single.shape) == 1 and carried and not carried.own:
        return Batch({"": _matrix(single, carried, random, count)})
    columns = {}
    for at, column in enumerate(schema.inputs):
        known = carried.of(column.name, at) if carried else None
        columns[column.name] = _values(column, known, random, count)
    return Batch(columns)


def with_missing(
    schema: Schema, rows: Batch, predictor: Callable[[Schema], Callable[[Batch], Batch]]
) -> Schema:
    """The schema in which those columns may lack values that the model answers without."""
    names = [column.name for column in schema.inputs if column.dtype != "json"]
    predict = predictor(nullable(schema, names))
    row = rows.rows(0, 1)
    if not _answers(predict, row):
        return schema
    waiting, lacking = deque([names]), []
    for _ in range(MOST_PROBES):
        if not waiting:
            break
        some = waiting.popleft()
        if _answers(predict, _without(row, schema, some)):
            lacking += some
        elif len(some) > 1:
            half = len(some) // 2
            waiting += (some[:half], some[half:])
    return nullable(schema, lacking)


def _answers(predict: Callable[[Batch], Batch], rows: Batch) -> bool:
    """Whether a model answers rows, and not with what is no number."""
    try:
        with without_warnings():
            answers = predict(rows)
    except Exception:
        return False
    return not any(
        column.dtype.kind == "f" and bool(np.isnan(column).any()) for column in answers.values()
    )


def _without(row: Batch, schema: Schema, names: list[str]) -> Batch:
    """The row, with these columns missing."""
    columns = {}
    for column in nullable(schema, names).inputs:
        values = row[column.name].astype(column.numpy)
        if column.name in names:
            missing: Any = {"O": None, "M": np.datetime64("NaT")}.get(values.dtype.kind, np.nan)
            values = np.full(values.shape, missing, dtype=values.dtype)
        columns[column.name] = values
    return Batch(columns)


def _whole(carried: Carried, random: np.random.Generator, count: int) -> NDArray[Any]:
    """One text, or one object, a row."""
    near = carried.columns[0].near
    made = np.empty(count, dtype=object)
    made[:] = [
        _text(near, random) if carried.form == "texts" else _object(near, random)
        for _ in range(count)
    ]
    return made


def _text(words: list[str], random: np.random.Generator) -> str:
    return " ".join(words[at] for at in random.integers(len(words), size=3)) if words else "a text"


def _object(names: list[str], random: np.random.Generator) -> dict[str, Any]:
    """One value of each of a DictVectorizer's names; `city=Rom` is a text of `city`."""
    made: dict[str, Any] = {}
    for at in random.permutation(len(names)).tolist():
        name, is_text, value = names[at].partition("=")
        made.setdefault(name, value if is_text else round(float(random.normal()), 3))
    return made


def _matrix(
    single: Column, carried: Carried, random: np.random.Generator, count: int
) -> NDArray[Any]:
    width = single.shape[0] if single.shape[0] > 0 else len(carried.columns)
    columns = [
        _values(Column(str(at), single.dtype), carried.columns[at], random, count)
        if at < len(carried.columns)
        else _values(Column(str(at), single.dtype), None, random, count)
        for at in range(width)
    ]
    return np.column_stack(columns).astype(single.numpy)


def _values(
    column: Column, known: Known | None, random: np.random.Generator, count: int
) -> NDArray[Any]:
    shape = (count, *(ANY_SIZE if size < 0 else size for size in column.shape))
    values = list(column.categories or (known.categories if known else None) or ())
    near = known.near if known else []
    if known and (known.dtype == "datetime") != (column.dtype == "datetime"):
        near = []  # a signature may say otherwise than the model
    if column.dtype == "datetime":
        days = near or list(START + np.arange(count) * np.timedelta64(1, "D"))
        return np.resize(np.array(days, column.numpy), shape)
    if column.dtype in OBJECTS:
        made = np.empty(shape, dtype=object)
        made.ravel()[:] = [_one(column, values, near, random) for _ in range(made.size)]
        return made
    if values and not isinstance(values[0], str):
        return np.asarray(random.choice(np.array(values), shape)).astype(column.numpy)
    return _numbers(column, near, random, shape)


def _one(column: Column, values: list[Any], near: list[Any], random: np.random.Generator) -> Any:
    if column.dtype == "binary":
        return b""
    if column.dtype == "json" and column.spec:
        return nested.value(column.spec)
    if column.dtype == "json":
        return None if column.nullable else {}
    if values:
        return str(values[int(random.integers(len(values)))])
    return _text([str(word) for word in near], random)


def _numbers(
    column: Column, near: list[Any], random: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Numbers around those that are known, else around zero."""
    if column.dtype == "bool":
        return (random.random(shape) < 0.5).astype(column.numpy)
    whole = np.dtype(column.dtype).kind in "iu"
    if near:
        spread = float(np.std(near)) or 1.0
        made = random.choice(np.array(near, np.float64), shape)
        made = made + 0.1 * spread * random.normal(size=shape)
    elif whole:
        made = random.integers(0, 2, shape).astype(np.float64)
    else:
        made = random.normal(size=shape)
    if whole:
        limits = np.iinfo(column.dtype)
        made = np.clip(np.round(made), max(limits.min, -(2**53)), min(limits.max, 2**53))
    return made.astype(column.numpy)
