"""Rows as a table of Arrow, for callers with tables: the rows' protocol in another form.

Columns go by name; where a model's have none, in their order. One unnamed input is a column of
lists, or as many columns as a row has numbers. Values are those that JSON may have, and a value is
changed to its column's dtype where it stays what it is.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import compute, types

from bentos.protocols import answers as written
from bentos.protocols.arrow_messages import held
from bentos.protocols.elements import show
from bentos.protocols.inputs import exact, left_out
from bentos.protocols.reader import Reader, place
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column, Mismatch, Schema
from bentos.tensors.batch import Array

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
INDEX = "__index_level_"  # how pandas calls an index that it writes
MISSING_TIME = np.iinfo(np.int64).min
WORDS = frozenset({"string", "binary", "datetime"})  # dtypes that texts may stand for
Kind: TypeAlias = Callable[[pa.DataType], bool]
TEXTS: tuple[Kind, ...] = (
    types.is_string, types.is_large_string,
    types.is_binary, types.is_large_binary, types.is_fixed_size_binary,
)  # fmt: skip
NUMBERS: tuple[Kind, ...] = (types.is_boolean, types.is_integer, types.is_floating)
TIMES: tuple[Kind, ...] = (types.is_timestamp, types.is_date)
LISTS: tuple[Kind, ...] = (types.is_list, types.is_large_list, types.is_fixed_size_list)


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
                _check_type(name, column.type)
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


def array(reader: Reader, column: pa.Array) -> Array:
    """A column as its model takes it. Raises BadInput."""
    spec = reader.spec
    if types.is_dictionary(column.type):
        if _is(column.type.value_type, *TEXTS):
            return _texts(reader, column.type.value_type, _words(column))
        column = column.dictionary_decode()
    if types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if spec.dtype == "json":
        values = column.to_pylist(maps_as_pydicts="strict")
        return reader.column(msgspec.to_builtins(values), many=True)
    if spec.shape:
        return _tensor(reader, column)
    if _is(column.type, types.is_null, *TEXTS):
        return _texts(reader, column.type, column.to_pylist())
    if spec.dtype == "datetime" and _is(column.type, *TIMES):
        return _times(reader, column)
    fits = _is(column.type, *NUMBERS) and spec.dtype not in WORDS
    if not fits or (spec.dtype == "bool") != types.is_boolean(column.type):
        raise _unlike(reader, column.type)
    return _numbers(reader, column)


def _unlike(reader: Reader, kind: pa.DataType) -> BadInput:
    name = reader.name
    message = f"column {name!r}: it is {kind}, which is no {reader.spec.dtype}"
    return BadInput(message if name else message.partition(": ")[2], name)


def _texts(reader: Reader, kind: pa.DataType, values: list[Any]) -> Array:
    """Texts and bytes; a time may be a text, and bytes may be one in base64, as in JSON."""
    wanted = reader.spec.dtype
    fits = wanted in WORDS if _is(kind, *TEXTS[:2]) else wanted == "binary"
    if not fits and not types.is_null(kind):
        raise _unlike(reader, kind)
    return reader.column(values, many=True)


def _numbers(reader: Reader, column: pa.Array) -> Array:
    spec, lacks = reader.spec, column.is_null().to_numpy(zero_copy_only=False)
    if spec.dtype == "bool":
        if column.null_count:
            return reader.column(column.to_pylist(), many=True)
        truths: Array = column.to_numpy(zero_copy_only=False)
        return truths.astype(spec.numpy)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    made, right = exact(spec, values, reader.limits)
    if lacks.any():
        right = np.where(lacks, spec.nullable, right)
        if spec.nullable:
            made[lacks] = np.nan
    _refuse(reader, right, lambda row: column[row].as_py())
    return made


def _times(reader: Reader, column: pa.Array) -> Array:
    """Moments in UTC; those without a zone are in UTC."""
    lacks = column.is_null().to_numpy(zero_copy_only=False)
    try:
        if types.is_date(column.type):
            column = column.cast(pa.timestamp("ms"))
        finer = column.cast(pa.timestamp("ns", tz=column.type.tz))
    except pa.ArrowInvalid as error:
        raise BadInput(f"column {reader.name!r}: {error}", reader.name) from None
    made: Array = finer.view(pa.int64()).fill_null(MISSING_TIME).to_numpy(zero_copy_only=False)
    right = np.where(lacks, reader.spec.nullable, made != MISSING_TIME)
    _refuse(reader, right, lambda row: None)
    return made.view("datetime64[ns]").copy()


def _tensor(reader: Reader, column: pa.Array) -> Array:
    """Lists of one size, at once where all is well; else one by one, to say where it is not."""
    spec, sizes, inner = reader.spec, [len(column)], column
    for want in spec.shape:
        size = _size(inner)
        if size is None or want not in (-1, size):
            break
        inner = inner.flatten()
        sizes.append(size)
    if len(sizes) == 1 + len(spec.shape) and not types.is_nested(inner.type):
        try:
            element = Reader(Column(spec.name, spec.dtype, nullable=spec.nullable))
            return array(element, inner).reshape(sizes)
        except BadInput:
            pass
    return reader.column(msgspec.to_builtins(column.to_pylist()), many=True)


def _size(column: pa.Array) -> int | None:
    """The size of all lists of a column, if it is one."""
    if not _is(column.type, *LISTS) or column.null_count or not len(column):
        return None
    sizes = compute.unique(column.value_lengths())
    return int(sizes[0].as_py()) or None if len(sizes) == 1 else None


def _refuse(reader: Reader, right: Array, value: Callable[[int], object]) -> None:
    """Raise BadInput for the first row that is not right."""
    if right.all():
        return
    row = int(np.flatnonzero(~right)[0])
    found = value(row)
    lacks = found is None or found != found
    why = "is missing" if lacks else f"{show(found)} cannot be a value of {reader.spec.dtype}"
    raise BadInput(f"{place(reader.name, row, many=True)}{why}", reader.name, row)


def _words(column: pa.DictionaryArray) -> list[Any]:
    """The texts of rows, each of which is there once, however many rows have it."""
    words = [*column.dictionary.to_pylist(), None]
    places = column.indices.cast(pa.int64()).fill_null(-1).to_pylist()
    return [words[place] for place in places]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The one chunk of a column, as its extension stores it."""
    found = column.combine_chunks()
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0)
    return found.storage if isinstance(found, pa.ExtensionArray) else found


def _check_type(name: str, kind: pa.DataType, inside: bool = False) -> None:
    """Raise BadInput for types that are not read, or in which few bytes may stand for much."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if _is(kind, *LISTS, types.is_map, types.is_struct) and kind.num_fields:
        for at in range(kind.num_fields):
            _check_type(name, kind.field(at).type, inside=True)
        return
    if _is_scalar(kind) or (not inside and types.is_null(kind)):
        return
    if not inside and types.is_dictionary(kind) and _is_scalar(kind.value_type):
        return
    where = "inside a list or an object" if inside else "as a column"
    raise BadInput(f"column {name!r}: Arrow's {kind} is not read {where}", name)


def _is(kind: pa.DataType, *kinds: Kind) -> bool:
    return any(one(kind) for one in kinds)


def _is_scalar(kind: pa.DataType) -> bool:
    empty = types.is_fixed_size_binary(kind) and not kind.byte_width
    return _is(kind, *TEXTS, *NUMBERS, *TIMES, types.is_decimal) and not empty


def written_as(name: str, column: Array) -> pa.Array:
    """Answers as a column of Arrow. Raises BadInput for those of mixed kinds."""
    try:
        if column.dtype.kind in "OSU":
            return pa.array(written.values(column))
        if column.dtype == np.longdouble:
            column = column.astype(np.float64)
        if column.dtype.kind == "M":
            column = column.astype("datetime64[ns]")
        made = pa.array(column.reshape(-1))
        for size in reversed(column.shape[1:]):
            made = pa.FixedSizeListArray.from_arrays(made, size)
        return made
    except (pa.ArrowException, ValueError, TypeError) as error:
        message = f"the answers {name!r} cannot be a column of Arrow, ask for JSON: {error}"
        raise BadInput(message, name) from None
