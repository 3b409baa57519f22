"""Frames as CSV, as pandas writes it: one line of names, then rows."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bentos.tensors import BadInput, Column, Schema

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "NaT"})
NUMBER = re.compile(r"[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?", re.ASCII)
WHOLE = re.compile(r"[-+]?\d{1,40}", re.ASCII)


def read(body: bytes, schema: Schema, most: int) -> tuple[list[str], list[list[Any]]]:
    """Names and rows, of which one too many may be read. Raises BadInput.

    An index in front, without a name, is left out where it is one column too many.
    """
    if schema.single is not None and schema.single.dtype == "json":
        raise BadInput("CSV does not tell texts from numbers, which this model does: send JSON")
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        names = next(lines, None)
        rows = [line for line, _ in zip(_filled(lines), range(most + 1), strict=False)]
    except UnicodeDecodeError as error:
        raise BadInput(f"the body is no UTF-8: {error}") from None
    except csv.Error as error:
        raise BadInput(f"the body is no CSV: {error}") from None
    if not names:
        raise BadInput("the body is no CSV: it has no line of column names")
    for at, row in enumerate(rows):
        if len(row) != len(names):
            raise BadInput(f"row {at}: {len(row)} values for {len(names)} columns", row=at)
    start = int(names[0] == "" and len(names) == _width(schema, names) + 1)
    readers = _readers(schema, names[start:])
    return names[start:], [
        [read(cell) for read, cell in zip(readers, row[start:], strict=True)] for row in rows
    ]


def _filled(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    return (line for line in lines if line)


def _width(schema: Schema, names: list[str]) -> int:
    """How many columns a frame must have, as far as that is known."""
    if schema.single is None:
        known = set(schema.names)
        return sum(name in known for name in names) if not schema.positional else len(known)
    shape = schema.single.shape
    return shape[0] if len(shape) == 1 else 1


def _readers(schema: Schema, names: list[str]) -> list[Callable[[str], Any]]:
    if schema.single is not None:
        return [_cell(schema.single)] * len(names)
    if schema.positional:
        found = [_cell(column) for column in schema.inputs]
        return (found + [str] * len(names))[: len(names)]
    by_name = {column.name: _cell(column) for column in schema.inputs}
    return [by_name.get(name, str) for name in names]


def _cell(column: Column) -> Callable[[str], Any]:
    """How a text becomes a value; what becomes none stays text, for the message."""
    if column.dtype in ("string", "json"):
        return (lambda text: text or None) if column.nullable else str
    if column.dtype == "bool":
        return lambda text: None if text in MISSING else _BOOLEANS.get(text.lower(), text)
    if column.dtype in ("binary", "datetime"):
        return lambda text: None if text in MISSING else text
    return _whole if np.dtype(column.dtype).kind in "iu" else _number


_BOOLEANS = {"true": True, "false": False}


def _number(text: str) -> Any:
    if text in MISSING:
        return None
    return float(text) if NUMBER.fullmatch(text.strip()) else text


def _whole(text: str) -> Any:
    return int(text) if WHOLE.fullmatch(text.strip()) else _number(text)
