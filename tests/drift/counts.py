"""Columns, counted."""

from typing import Any

import numpy as np

from bentos.drift.reference import Reference
from bentos.drift.tally import Tally


def column(values: Any) -> "np.ndarray[Any, Any]":
    """Values as the counting takes them."""
    return np.asarray(values, dtype=object if isinstance(values[0], str | None) else None)


def tally(usual: Reference | None = None, **inputs: Any) -> Tally:
    """A tally of these columns; that of `y` is of the answers."""
    made = Tally()
    columns = {name: column(values) for name, values in inputs.items()}
    outputs = {name: columns.pop(name) for name in ("y",) if name in columns}
    rows = len(next(iter({**columns, **outputs}.values())))
    made.add(rows, columns, outputs, usual)
    return made


def of_rows(*parts: Tally) -> Tally:
    """Those of several workers together."""
    whole = Tally()
    for part in parts:
        whole.merge(Tally.decode(part.encode()))
    return whole
