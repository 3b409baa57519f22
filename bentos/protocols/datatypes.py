"""The data types of the Open Inference Protocol, and elements as bytes.

Format: https://github.com/kserve/open-inference-protocol and Triton's extension for binary data.
"""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from bentos.protocols import answers, times
from bentos.protocols.body import parsed
from bentos.protocols.elements import UNFIT
from bentos.protocols.reader import Reader
from bentos.tensors import BadInput, Column, Dtype
from bentos.tensors.batch import Array

DTYPES: Mapping[str, Dtype] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "string",
}
NAMES: Mapping[str, str] = {dtype: name for name, dtype in DTYPES.items()}
OPENED = re.compile(rb"[ \t\n\r\[]*")
LENGTH = struct.Struct("<I")


def of_column(column: Column) -> str:
    """The data type of a column's tensor: texts, times, bytes and JSON are BYTES."""
    return NAMES.get(column.dtype, "BYTES")


def dtype(name: str, datatype: str) -> Dtype:
    """The dtype of a data type. Raises BadInput for one that is not known."""
    if datatype not in DTYPES:
        known = ", ".join(DTYPES)
        raise BadInput(f"tensor {name!r}: the datatype {datatype!r} is none of {known}", name)
    return DTYPES[datatype]


def unpacked(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Array:
    """The array of a tensor's bytes, little-endian and row by row. Raises BadInput.

    Nothing is made before the bytes are counted: a shape may say anything.
    """
    wanted, count = dtype(name, datatype), math.prod(shape)
    if datatype == "BYTES":
        return shaped(name, _strings(name, count, data), shape)
    little = np.dtype(wanted).newbyteorder("<")
    if count * little.itemsize != len(data):
        raise BadInput(
            f"tensor {name!r}: {len(data)} bytes of data, but {count} elements of {datatype} "
            f"are {count * little.itemsize}",
            name,
        )
    if datatype != "BOOL":
        return shaped(name, np.frombuffer(data, little), shape)
    bits = np.frombuffer(data, np.uint8)
    if np.any(bits > 1):
        raise BadInput(f"tensor {name!r}: a byte of BOOL is neither 0 nor 1", name)
    return shaped(name, bits.view(np.bool_), shape)


def shaped(name: str, flat: Array, shape: Sequence[int]) -> Array:
    """A flat array in its shape. Raises BadInput where it has not as many elements."""
    try:
        return flat.reshape(shape)
    except ValueError:
        message = f"tensor {name!r}: {flat.size} elements do not fill the shape {list(shape)}"
        raise BadInput(message, name) from None


def listed(name: str, datatype: str, shape: Sequence[int], data: bytes) -> Array:
    """The array of a tensor's JSON, which is flat or nested. Raises BadInput.

    A null is a missing value: integers are then float64, and booleans objects.
    """
    opened = OPENED.match(data)
    depth = opened.group().count(b"[") if opened else 0
    if depth not in (1, len(shape)):
        message = f"tensor {name!r}: its data is neither flat nor in the shape {list(shape)}"
        raise BadInput(message, name)
    known = dtype(name, datatype)
    for nullable in (False, True) if b"null" in data else (False,):
        reader = Reader(Column(name, known, nullable=nullable))
        try:
            nested = msgspec.json.decode(data, type=_nested(reader.type, depth))
            return shaped(name, reader.array(_flat(name, nested, depth, shape)), shape)
        except BadInput:
            raise
        except UNFIT:
            pass  # with its place, below
    flat = _flat(name, parsed(data), depth, shape)
    stride = math.prod(shape[1:]) or 1
    try:
        return shaped(name, reader.column(flat, many=True), shape)
    except BadInput as bad:
        row = None if bad.row is None else bad.row // stride
        message = bad.message.replace(f"row {bad.row}", f"row {row}", 1)
        raise BadInput(message, name, row) from None


def _nested(kind: Any, depth: int) -> Any:
    for _ in range(depth):
        kind = list[kind]
    return kind


def _flat(name: str, nested: Any, depth: int, shape: Sequence[int]) -> list[Any]:
    """The elements of lists in lists, which are all as long as the shape says."""
    for size in shape[1:depth]:
        if not all(isinstance(part, list) and len(part) == size for part in nested):
            raise BadInput(f"tensor {name!r}: its data has not the shape {list(shape)}", name)
        nested = list(chain.from_iterable(nested))
    flat: list[Any] = nested
    return flat


def _strings(name: str, count: int, data: memoryview) -> Array:
    """Elements that have their lengths in front. Raises BadInput."""
    texts: list[bytes] = []
    at = 0
    if count * LENGTH.size <= len(data):
        while len(texts) < count and at + LENGTH.size <= len(data):
            (length,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size
            texts.append(bytes(data[at : at + length]))
            at += length
    if len(texts) != count or at != len(data):
        message = f"{len(data)} bytes of data are not {count} elements with their lengths"
        raise BadInput(f"tensor {name!r}: {message}", name)
    return np.fromiter(texts, dtype=object, count=count)


def of_answer(column: Array) -> tuple[str, Array]:
    """The data type of an answer, and its array; what is no number is texts or bytes."""
    kind = column.dtype.kind
    if kind in "biuf":
        column = column.astype(np.float64) if column.dtype == np.longdouble else column
        return NAMES[column.dtype.name], column
    if kind == "M":
        texts = [text or "" for text in times.texts(column)]
        return "BYTES", np.array(texts, dtype=object).reshape(column.shape)
    column = np.char.decode(column, "utf-8", "replace") if kind == "S" else column
    flat = [_text(value) for value in column.ravel().tolist()]
    return "BYTES", np.fromiter(flat, dtype=object, count=len(flat)).reshape(column.shape)


def _text(value: Any) -> str | bytes:
    if value is None:
        return ""
    return value if isinstance(value, str | bytes) else answers.encode(value).decode()


def packed(datatype: str, column: Array) -> bytes:
    """The bytes of an answer's array."""
    if datatype != "BYTES":
        return column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = (v if isinstance(v, bytes) else v.encode() for v in column.ravel().tolist())
    return b"".join(part for text in texts for part in (LENGTH.pack(len(text)), text))
