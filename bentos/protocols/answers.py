"""Answers as JSON."""

from typing import Any

import msgspec
import numpy as np

from bentos.protocols import times
from bentos.tensors import Batch
from bentos.tensors.batch import Array


def values(column: Array) -> list[Any]:
    """One value a row: numbers, texts, ISO times, lists of them where a row has several.

    What is no number, NaN or infinite, is null in JSON, since JSON has no word for it.
    """
    kind = column.dtype.kind
    if kind == "M":
        flat = np.array(times.texts(column), dtype=object)
        column = flat.reshape(column.shape)
    elif kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    elif column.dtype == np.longdouble:
        column = column.astype(np.float64)
    made: list[Any] = column.tolist()
    return made


def rows(answers: Batch) -> list[dict[str, Any]]:
    """One object a row, by the columns' names."""
    columns = [values(column) for column in answers.values()]
    if len(columns) == 1:
        (name,) = answers.names
        return [{name: value} for value in columns[0]]
    return [dict(zip(answers.names, row, strict=True)) for row in zip(*columns, strict=True)]


def plain(value: object) -> Any:
    """What stands inside arrays of objects: numpy's own arrays and scalars."""
    if isinstance(value, np.datetime64):
        return times.texts(np.array([value]))[0]
    if isinstance(value, np.ndarray):
        return values(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"an answer holds {type(value).__name__}, which JSON has not")


encode = msgspec.json.Encoder(enc_hook=plain).encode
