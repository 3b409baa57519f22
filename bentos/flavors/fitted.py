"""Rows of a bare array, given to a model in the form that it was fitted to."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.schema import OBJECTS

Predictor: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]


def knowing(predict: Predictor) -> Predictor:
    """`predict`, where a category that its encoder does not know is the caller's fault."""

    def answered(rows: NDArray[Any]) -> NDArray[Any]:
        try:
            return predict(rows)
        except ValueError as error:
            if str(error).startswith("Found unknown categories"):
                raise BadInput(str(error)) from None
            raise

    return answered


def by_name(call: Callable[[Any], Any], schema: Schema, names: Sequence[str]) -> Predictor:
    """A model that was fitted to a table, and may ask for its columns by name, gets one."""
    from bentos.flavors.entrance import PandasTable  # and with it pandas

    table = PandasTable(schema, names)

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        columns = {c.name: _typed(c, rows[:, at]) for at, c in enumerate(schema.inputs)}
        return np.asarray(call(table(Batch(columns))))

    return predict


def _typed(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """Values of the column's own dtype, unless they are others."""
    if column.dtype in OBJECTS:
        return values.astype(object)
    with np.errstate(invalid="ignore"):
        typed = values.astype(column.numpy)
    return typed if (typed == values).all() else values.astype(np.float64)


def with_whole(rows: NDArray[Any], words: Sequence[int]) -> NDArray[Any]:
    """Rows with 1 for 1.0 in these columns: CatBoost takes no other numbers for categories."""
    rows = rows.astype(object)
    for at in words:
        column = rows[:, at].tolist()
        rows[:, at] = [int(v) if isinstance(v, float) and v.is_integer() else v for v in column]
    return rows
