"""Columns of random values, of every dtype, and how JSON has them."""

import base64
from typing import Any, get_args

import numpy as np

from bentos.protocols import answers
from bentos.tensors import Batch, Column, Schema
from bentos.tensors.batch import Array
from bentos.tensors.schema import Dtype

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
# An array of JSON is JSON.
SHAPED = [
    (dtype, shape) for dtype in DTYPES for shape in ((), (2, -1)) if dtype != "json" or not shape
]
WORDS = ["", "a", "Größe", "日本", "\x00", '"quoted"\\', "NaN", "null", "1"]


def columns(schema: Schema, rows: int, seed: int = 0) -> dict[str, Array]:
    """One array a column that goes in; where -1 stands, sizes are 3."""
    random = np.random.default_rng(seed)
    return {column.name: _column(column, rows, random) for column in schema.inputs}


def _column(column: Column, rows: int, random: np.random.Generator) -> Array:
    shape = (rows, *(3 if size < 0 else size for size in column.shape))
    made = _full(column, shape, random)
    if column.nullable:
        missing = random.random(shape) < 0.3
        made = made.astype(column.numpy)
        made[missing] = (
            None
            if made.dtype == object
            else np.array("NaT" if column.dtype == "datetime" else np.nan).astype(made.dtype)
        )
    return made


def _full(column: Column, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    dtype, size = column.dtype, int(np.prod(shape))
    flat = np.empty(size, dtype=object)
    if dtype == "string":
        flat[:] = [WORDS[at] for at in random.integers(len(WORDS), size=size)]
    elif dtype == "binary":
        flat[:] = [random.bytes(n) for n in random.integers(9, size=size)]
    elif dtype == "json":
        flat[:] = [{"a": [1, None, "x"], "b": {"c": float(x)}} for x in random.normal(size=size)]
    elif dtype == "datetime":
        limit = 9 * 10**18
        return random.integers(-limit, limit, shape).view("datetime64[ns]")
    elif dtype == "bool":
        return random.random(shape) < 0.5
    elif np.dtype(dtype).kind == "f":
        return (random.normal(size=shape) * 10.0 ** random.integers(-4, 4, shape)).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        low, high = (int(limits.min), int(limits.max))
        if column.nullable:
            low, high = max(low, 1 - 2**53), min(high, 2**53 - 1)
        return random.integers(low, high, shape, dtype=dtype, endpoint=True)
    return flat.reshape(shape)


def json_values(column: Array) -> list[Any]:
    """One JSON value a row."""
    values: list[Any] = _jsonable(answers.values(column))
    return values


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and np.isnan(value) else value


def same(one: Batch, other: Batch) -> bool:
    """Equal names, shapes, dtypes and values, and missing where the other is missing."""
    return one.names == other.names and all(
        one[name].dtype == other[name].dtype
        and np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind in "fM")
        for name in one
    )
