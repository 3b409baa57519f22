"""Bodies of MLflow's protocol, and how they are read."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

NAMED = [
    {"type": "long", "name": "n", "required": True},
    {"type": "float", "name": "x y", "required": True},
    {"type": "string", "name": "größe", "required": True},
    {"type": "double", "name": "maybe", "required": False},
    {"type": "boolean", "name": "ok", "required": True},
]
PLACES = [{"type": "double", "required": True}, {"type": "double", "required": True}]
MATRIX = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
RECORD = {"n": 1, "x y": 0.5, "größe": "a", "maybe": 2.5, "ok": True}
NAMES = list(RECORD)
A, B = [[1.5, 2], [3, 4.5]], [[[1, 2]], [[3, 4]]]


def rows(columns: Mapping[Any, Any] | pd.DataFrame, names: list[Any]) -> list[list[Any]]:
    """The rows of columns, each as one flat list."""
    return [list(flat(row)) for row in zip(*(columns[name] for name in names), strict=True)]


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | np.ndarray):
        for item in value:
            yield from flat(item)
    elif isinstance(value, np.datetime64):
        yield pd.Timestamp(value)
    else:
        yield None if value is None or value != value else value
