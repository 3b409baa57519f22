"""Columns as a caller gives them, made those that a schema wants."""

from collections.abc import Mapping

import numpy as np

from bentos.tensors.batch import Array, Batch
from bentos.tensors.errors import BadInput
from bentos.tensors.schema import Column, Schema


def fit(schema: Schema, columns: Mapping[str, Array]) -> Batch:
    """Columns in the schema's order and dtypes. Raises BadInput.

    A dtype is changed only where every value stays what it is.
    """
    if foreign := sorted(columns.keys() - set(schema.names)):
        raise BadInput(f"unknown column {foreign[0]!r}; {schema.known()}", foreign[0])
    missing = [c.name for c in schema.inputs if c.required and c.name not in columns]
    if missing:
        raise BadInput(f"missing column {missing[0]!r}; {schema.known()}", missing[0])
    rows = max((len(values) for values in columns.values()), default=0)
    return Batch(
        {
            column.name: _fitted(column, columns[column.name])
            if column.name in columns
            else absent(column, rows)
            for column in schema.inputs
        }
    )


def absent(column: Column, rows: int) -> Array:
    """The values of an optional column that a caller left out: all missing."""
    shape = (rows, *(max(size, 0) for size in column.shape))
    kind = column.numpy.kind
    if kind == "O":
        return np.full(shape, None, dtype=object)
    if kind == "M":
        return np.full(shape, np.datetime64("NaT", "ns"))
    return np.full(shape, np.nan, dtype=column.numpy if kind == "f" else np.float64)


def _fitted(column: Column, values: Array) -> Array:
    wanted, name = column.numpy, column.name or "the input"
    if not _fits(values.shape[1:], column.shape):
        raise BadInput(
            f"{name} has rows of shape {values.shape[1:]}, not {column.shape}", column.name
        )
    if values.dtype == wanted or wanted.kind == "O":
        return values.astype(wanted, copy=False)
    if np.can_cast(values.dtype, wanted, "safe"):
        return values.astype(wanted)
    if values.dtype.kind in "biuf" and wanted.kind in "biuf":
        with np.errstate(invalid="ignore", over="ignore"):
            cast = values.astype(wanted)
        if np.array_equal(cast, values, equal_nan=values.dtype.kind == "f"):
            return cast
    raise BadInput(f"{name} is {values.dtype}, not {wanted}", column.name)


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (-1, size) for size, want in zip(shape, wanted, strict=True)
    )
