"""Rows of values, and the batch that they are."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from bentos.protocols.elements import UNFIT, show
from bentos.protocols.reader import place, readers
from bentos.tensors import Batch, Mismatch, Schema


class Table:
    """Makes batches of a schema, of at most so many rows."""

    def __init__(self, schema: Schema, most: int) -> None:
        self.schema = schema
        self.most = most
        self.readers = readers(schema)
        self.row = tuple[*(reader.type for reader in self.readers)]  # type: ignore[misc]
        self._names = frozenset(schema.names)
        self.block = _block_dtype(schema)

    def of_typed(self, rows: Sequence[tuple[Any, ...]]) -> Batch:
        """Rows whose values a decoder has made by the readers' types.

        Raises ValueError, TypeError or OverflowError where `of_columns` would know the place.
        """
        names = self.schema.names
        if self.block is not None:
            count = len(rows) * len(names)
            flat = np.fromiter(chain.from_iterable(rows), self.block, count)
            if self.block.kind == "f":
                flat = self.readers[0].narrow(flat)
            return Batch.of_block(names, flat.reshape(len(rows), len(names)))
        columns = zip(self.readers, zip(*rows, strict=True), strict=True)
        return Batch({reader.name: reader.array(values) for reader, values in columns})

    def of_lists(self, rows: Sequence[Any], many: bool = True) -> Batch:
        """Rows as lists of values, in the columns' order. Raises BadInput."""
        self.sized(len(rows))
        try:
            return self.of_typed(msgspec.convert(rows, list[self.row]))  # type: ignore[name-defined]
        except UNFIT:
            pass  # column by column, to say where it is wrong
        self.same_width(rows, len(self.readers), many)
        columns = zip(self.schema.names, zip(*rows, strict=True), strict=True)
        return self.of_columns(dict(columns), many)

    def of_objects(self, rows: Sequence[Any], many: bool) -> Batch:
        """Rows as objects of columns. Raises BadInput."""
        rows = [self.spelled(row) if isinstance(row, dict) else row for row in rows]
        for at, row in enumerate(rows):
            if not isinstance(row, dict):
                where = place("", at, many) or "the body: "
                known = self.schema.known()
                raise Mismatch(f"{where}{show(row)} is no object of columns; {known}", row=at)
            self.same_names(row, at, many)
        return self.of_columns(
            {name: [row.get(name, msgspec.UNSET) for row in rows] for name in self.schema.names},
            many,
        )

    def of_columns(self, columns: Mapping[str, Sequence[Any]], many: bool = True) -> Batch:
        """Columns of values, UNSET where a row has none. Raises BadInput."""
        columns = self.spelled(columns)
        self.same_names(columns)
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            raise Mismatch(f"the columns have not the same number of rows: {sizes}")
        rows = self.sized(max(sizes.values(), default=0))
        made = {}
        for reader in self.readers:
            values = columns.get(reader.name) or [msgspec.UNSET] * rows
            if not reader.loose:
                values = [None if value is msgspec.UNSET else value for value in values]
            made[reader.name] = reader.column(values, many)
        return Batch(made)

    def spelled(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The columns as their model spells them: LightGBM keeps names with `_` for spaces."""
        if self.schema.source != "model" or given.keys() <= self._names:
            return given
        made = {
            name if name in self._names else _without_spaces(name): given[name] for name in given
        }
        return made if len(made) == len(given) and made.keys() <= self._names else given

    def sized(self, rows: int) -> int:
        """That number of rows. Raises BadInput for none, or too many."""
        if not rows:
            raise Mismatch("there are no rows; send one at least")
        if rows > self.most:
            raise Mismatch(f"there are {rows} rows; send at most {self.most} in a call")
        return rows

    @staticmethod
    def same_width(rows: Sequence[Any], width: int, many: bool = True) -> None:
        """Raise BadInput for a row that is no list of so many values."""
        for at, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != width:
                where = place("", at, many) or "the body: "
                raise Mismatch(f"{where}{show(row)} is no list of {width} values", row=at)

    def same_names(
        self, given: Mapping[str, Any], row: int | None = None, many: bool = True
    ) -> None:
        """Raise BadInput for a column that is missing or unknown."""
        if given.keys() == self._names:
            return
        where = "" if row is None else place("", row, many)
        for name in given:
            if name not in self._names:
                known = self.schema.known()
                raise Mismatch(f"{where}unknown column {show(name)}; {known}", str(name), row)
        for column in self.schema.inputs:
            if column.required and column.name not in given:
                message = f"{where}missing column {column.name!r}; {self.schema.known()}"
                raise Mismatch(message, column.name, row)


def _without_spaces(name: object) -> str:
    return str(name).replace(" ", "_")


def _block_dtype(schema: Schema) -> "np.dtype[Any] | None":
    """What all columns are read as, where they make one block."""
    dtypes = {column.dtype for column in schema.inputs}
    loose = any(not column.required and not column.nullable for column in schema.inputs)
    if schema.uniform is None or schema.single is not None or len(dtypes) != 1 or loose:
        return None
    kind = schema.uniform.kind
    if kind == "f" and len({column.nullable for column in schema.inputs}) == 1:
        return np.dtype(np.float64)
    return schema.uniform if kind in "iub" else None
