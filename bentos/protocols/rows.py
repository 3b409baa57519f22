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


class Rows:
    """The bodies of one model's calls and answers."""

    def __init__(self, schema: Schema, most: int) -> None:
        """Take at most so many rows in one call."""
        self._schema = schema
        self._table = Table(schema, most)
        self._params = Params(schema)
        self._defaults = self._params.read()
        self._depth = _depth(schema)
        row, self._tuples = _typed(schema, self._table)
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
            rows = self._many(body) if many else [self._one(body)]
            if 0 < len(rows) <= self._table.most:
                batch = self._table.of_typed(self._tuples(rows))
                return Call(batch, many, given)
        except UNFIT:
            pass  # read once more, slowly, to say where it is wrong
        return Call(self._slowly(body, many), many, given)

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
