"""A column of Arrow as its model takes it, and answers as a column of Arrow."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import compute, types

from bentos.protocols import answers as written
from bentos.protocols.arrow_kinds import LISTS, NUMBERS, TEXTS, TIMES, among
from bentos.protocols.elements import show
from bentos.protocols.inputs import exact
from bentos.protocols.reader import Reader, place
from bentos.tensors import BadInput, Column
from bentos.tensors.batch import Array

MISSING_TIME = np.iinfo(np.int64).min
WORDS = frozenset({"string", "binary", "datetime"})  # dtypes that texts may stand for


def array(reader: Reader, column: pa.Array) -> Array:
    """A column as its model takes it. Raises BadInput."""
    spec = reader.spec
    if types.is_dictionary(column.type):
        if among(column.type.value_type, *TEXTS):
            return _texts(reader, column.type.value_type, _words(column))
        column = column.dictionary_decode()
    if types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if spec.dtype == "json":
        values = column.to_pylist(maps_as_pydicts="strict")
        return reader.column(msgspec.to_builtins(values), many=True)
    if spec.shape:
        return _tensor(reader, column)
    if among(column.type, types.is_null, *TEXTS):
        return _texts(reader, column.type, column.to_pylist())
    if spec.dtype == "datetime" and among(column.type, *TIMES):
        return _times(reader, column)
    fits = among(column.type, *NUMBERS) and spec.dtype not in WORDS
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
    fits = wanted in WORDS if among(kind, *TEXTS[:2]) else wanted == "binary"
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
    if not among(column.type, *LISTS) or column.null_count or not len(column):
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
