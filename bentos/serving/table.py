"""Rows of named columns, as the batcher takes them: joined and split without making rows."""

from collections.abc import Sequence
from typing import Any, overload

from bentos.tensors import Batch, Schema


class Table(Sequence[dict[str, Any]]):
    """The rows of a batch, with the schema by which they were read.

    `probable` ones are to be answered with probabilities, too.
    """

    __slots__ = ("_size", "batch", "probable", "schema")

    def __init__(self, batch: Batch, schema: Schema, probable: bool = False) -> None:
        self.batch = batch
        self._size = batch.size
        self.schema = schema
        self.probable = probable

    @staticmethod
    def join(tables: "Sequence[Sequence[dict[str, Any]]]") -> "Table":
        """The rows of several tables, in order. Raises ValueError where their schemas differ.

        Columns that only some of them have are left out: answers to a part of a call have
        probabilities too, where others in the same batch asked for them.
        """
        parts = [table for table in tables if isinstance(table, Table)]
        first = parts[0].schema
        if any(part.schema is not first and part.schema != first for part in parts):
            raise ValueError("tables of different schemas cannot be joined")
        probable = any(part.probable for part in parts)
        shared = min((part.batch.names for part in parts), key=len)
        return Table(Batch.concat([part.batch.select(shared) for part in parts]), first, probable)

    def by(self, schema: Schema) -> "Table":
        """The same rows, as they are read by the schema of another release, without probabilities.

        Raises ValueError where its columns are not those of the rows.
        """
        here = {column.name: column for column in self.schema.inputs}
        for wanted in schema.inputs:
            column = here.get(wanted.name)
            if not column or (column.numpy, column.shape) != (wanted.numpy, wanted.shape):
                raise ValueError(f"the rows have no column {wanted}")
        return Table(self.batch.select(schema.names), schema)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> "Table": ...
    def __getitem__(self, at: int | slice) -> "dict[str, Any] | Table":
        if isinstance(at, slice):
            start, stop, _ = at.indices(len(self))
            return Table(self.batch.rows(start, stop), self.schema, self.probable)
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return {
            name: column[at].tolist() if hasattr(column[at], "tolist") else column[at]
            for name, column in self.batch.items()
        }
