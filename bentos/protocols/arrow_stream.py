"""Rows as a table of Arrow, for callers with tables: the rows' protocol in another form.

Columns go by name; where a model's have none, in their order. One unnamed input is a column of
lists, or as many columns as a row has numbers. Values are those that JSON may have, and a value is
changed to its column's dtype where it stays what it is.
"""

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import types

from bentos.protocols.arrow_columns import array, written_as
from bentos.protocols.arrow_kinds import check_type
from bentos.protocols.arrow_messages import held
from bentos.protocols.elements import show
from bentos.protocols.inputs import left_out
from bentos.protocols.reader import Reader
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column, Mismatch, Schema
from bentos.tensors.batch import Array

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
INDEX = "__index_level_"  # how pandas calls an index that it writes


class ArrowStream:
    """The bodies of one model's calls and answers."""

    def __init__(self, schema: Schema, most: int) -> None:
        """Take at most so many rows in one call."""
        self._schema = schema
        self._table = Table(schema, most)

    def decode(self, body: bytes, most_values: int) -> Batch:
        """The rows of a body of at most so many values. Raises BadInput, which names the column.

        Nothing is unpacked before it is known to be within these bounds.
        """
        rows, values = held(body)
        self._table.sized(rows)
        if values > most_values:
            raise BadInput(f"the body holds {values} values; send at most {most_values} in a call")
        try:
            table = pa.ipc.open_stream(pa.BufferReader(body)).read_all()
            for name, column in zip(table.column_names, table.columns, strict=True):
                check_type(name, column.type)
            table.validate(full=True)
            table = table.combine_chunks()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise BadInput(f"the body is no stream of Arrow: {error}") from None
        return self.batch(table)

    def encode(self, answers: Batch) -> bytes:
        """A stream of one batch, whose columns are the answers'.

        Rows of a wide column are lists of one size. Raises BadInput for answers of mixed kinds.
        """
        arrays = [written_as(name, column) for name, column in answers.items()]
        batch = pa.record_batch(arrays, names=list(answers.names))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    def batch(self, table: pa.Table) -> Batch:
        """The rows of a table whose values are right in themselves. Raises BadInput."""
        known = self._schema.names
        own = [name for name in table.column_names if name in known or not name.startswith(INDEX)]
        if twice := next((name for name in own if own.count(name) > 1), None):
            raise Mismatch(f"the column {show(twice)} is there twice", twice)
        columns = {name: table.column(name) for name in own}
        if self._schema.single is not None:
            return Batch({"": self._single(self._table.readers[0], columns)})
        if self._schema.positional:
            if len(own) != len(known):
                raise Mismatch(f"there are {len(own)} columns, and the model takes {len(known)}")
            columns = dict(zip(known, columns.values(), strict=True))
        else:
            columns = dict(self._table.spelled(columns))
            self._table.same_names(columns)
        return Batch(
            {
                reader.name: array(reader, _whole(columns[reader.name]))
                if reader.name in columns
                else left_out(reader, table.num_rows)
                for reader in self._table.readers
            }
        )

    def _single(self, reader: Reader, columns: dict[str, pa.ChunkedArray]) -> Array:
        """The one unnamed input of a model: a column, or several side by side."""
        spec = reader.spec
        whole = {name: _whole(column) for name, column in columns.items()}
        nested = len(whole) == 1 and types.is_nested(next(iter(whole.values())).type)
        if spec.dtype == "json" and not nested and not spec.shape:
            rows = pa.table(whole).to_pylist()
            return reader.column(msgspec.to_builtins(rows), many=True)
        if len(spec.shape) == 1 and not nested:
            if spec.shape[0] not in (-1, len(whole)):
                wanted = spec.shape[0]
                raise Mismatch(f"there are {len(whole)} columns, and the model takes {wanted}")
            parts = [
                array(Reader(Column(name, spec.dtype, nullable=spec.nullable)), column)
                for name, column in whole.items()
            ]
            return np.column_stack(parts)
        if len(whole) != 1:
            raise Mismatch(f"there are {len(whole)} columns, and the model takes one")
        return array(reader, next(iter(whole.values())))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The one chunk of a column, as its extension stores it."""
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0)
    return found.storage if isinstance(found, pa.ExtensionArray) else found
