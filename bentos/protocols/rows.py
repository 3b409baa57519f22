"""Rows as JSON: our own protocol.

A row is an object of columns; a list of values where columns have no names; for a model of one
unnamed input, that input itself. A body is one row, or a list of rows.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np

from bentos.protocols import answers as written
from bentos.protocols.body import parsed
from bentos.protocols.call import Call
from bentos.protocols.elements import UNFIT
from bentos.protocols.params import Params
from bentos.protocols.reader import Reader
from bentos.protocols.table import Table
from bentos.tensors import Batch, Schema

Tuples: TypeAlias = Callable[[Sequence[Any]], Sequence[tuple[Any, ...]]]
OPENED = re.compile(rb"[ \t\n\r\[]*")
SURE = ("float64", "string", "bool")  # every value of their types fits into an array of theirs
FLOATS = {name: float(np.finfo(name).max) for name in ("float32", "float64")}
SHORT = 64  # numbers in a row, which cost less one by one than in an array of their own


class Rows:
    """The bodies of one model's calls and answers."""

    def __init__(self, schema: Schema, most: int) -> None:
        """Take at most so many rows in one call."""
        self._schema = schema
        self._names = tuple(schema.names)
        self._table = Table(schema, most)
        self._params = Params(schema)
        self._defaults = self._params.read()
        self._depth = _depth(schema)
        row, tuples = _typed(schema, self._table)
        self._made: Callable[[Sequence[Any]], Batch] = lambda rows: self._table.of_typed(
            tuples(rows)
        )
        self._fits = _fits(schema, self._table)
        self._one = msgspec.json.Decoder(row).decode
        self._many = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]

    def params(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The params of a call, of which a query gives some. Raises BadInput."""
        return self._params.spelled(texts)

    def decode(self, body: bytes, params: Mapping[str, Any] | None = None) -> Call:
        """The rows of a body, with these params or their defaults. Raises BadInput."""
        given = dict(self._defaults if params is None else params)
        opened = OPENED.match(body)
        many = opened is not None and opened.group().count(b"[") > self._depth
        try:
            if not many and (alone := self._alone(body)):
                return Call(alone, many, given)
            rows = self._many(body) if many else [self._one(body)]
            if 0 < len(rows) <= self._table.most:
                return Call(self._made(rows), many, given)
        except UNFIT:
            pass  # read once more, slowly, to say where it is wrong
        return Call(self._slowly(body, many), many, given)

    def _alone(self, body: bytes) -> Batch | None:
        """One row, which becomes columns together with others; unless its array may not fit."""
        if self._fits is None:
            return None
        row = self._one(body)
        return Batch.of_rows(self._names, (row,), self._made) if self._fits(row) else None

    def encode(self, answers: Batch, many: bool) -> bytes:
        """One object a row, `{"prediction": 3.5}`; a list of them for `many`.

        A row of a wide column is a list. NaN and infinite numbers are null.
        """
        rows = written.rows(answers)
        return written.encode(rows if many else rows[0])

    def _slowly(self, body: bytes, many: bool) -> Batch:
        value = parsed(body)
        rows = value if many else [value]
        self._table.sized(len(rows))
        if self._schema.single is not None:
            return self._table.of_columns({"": rows}, many)
        if self._schema.positional:
            return self._table.of_lists(rows, many)
        return self._table.of_objects(rows, many)


def by_class(answers: Batch, classes: Sequence[str]) -> Batch:
    """The answers, whose last column of probabilities (rows, classes) is one object a row."""
    *others, last = answers.names
    shares = np.empty(answers.size, dtype=object)
    shares[:] = [dict(zip(classes, row, strict=True)) for row in answers[last].tolist()]
    return Batch({name: answers[name] for name in others} | {last: shares})


def _typed(schema: Schema, table: Table) -> tuple[Any, Tuples]:
    """The type of a row that a decoder makes, and how such rows become tuples."""
    kinds = [reader.type for reader in table.readers]
    if schema.single is not None:
        return kinds[0], lambda rows: [(row,) for row in rows]
    if schema.positional:
        return table.row, lambda rows: rows
    fields = [f"c{at}" for at in range(len(kinds))]
    row = msgspec.defstruct(
        "Row",
        [_field(*each) for each in zip(fields, table.readers, strict=True)],
        rename=dict(zip(fields, schema.names, strict=True)),
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    if len(fields) == 1:
        return row, lambda rows: [(made.c0,) for made in rows]
    values = operator.attrgetter(*fields)
    return row, lambda rows: list(map(values, rows))


def _fits(schema: Schema, table: Table) -> Callable[[Any], bool] | None:
    """Whether a typed row has its place in arrays, where that can be told without making them."""
    one = schema.single
    if one is None or not one.shape:
        sure = all(c.shape == () and c.dtype in SURE for c in schema.inputs)
        return (lambda row: True) if sure and not any(r.loose for r in table.readers) else None
    if len(one.shape) > 1 or not 0 < one.shape[0] <= SHORT or one.dtype not in FLOATS:
        return None
    width, most = one.shape[0], FLOATS[one.dtype]
    return lambda row: len(row) == width and None not in row and max(map(abs, row)) <= most


def _field(name: str, reader: Reader) -> Any:
    if reader.spec.required:
        return (name, reader.type)
    if reader.loose:
        return (name, reader.type | msgspec.UnsetType, msgspec.UNSET)
    return (name, reader.type, None)


def _depth(schema: Schema) -> int:
    """In how many lists the first value of one row lies."""
    first = schema.inputs[0]
    depth, spec = len(first.shape), first.spec
    while spec is not None and spec["type"] in ("array", "sparkml_vector"):
        depth, spec = depth + 1, spec.get("items")
    return depth + schema.positional if schema.positional or schema.single else 0
