"""Columns of a batch as typed columns of Arrow, and back, with equal values.

A row's tensor is a list of fixed size; its shape and dtype stand with the field. Values that have
no type of Arrow in common are JSON, one by one.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from bentos.tensors.batch import Array

DTYPE, SHAPE, KIND = b"dtype", b"shape", b"kind"
PLAIN, JSON, HASHED = b"plain", b"json", b"hashed"
KINDS: dict[type, pa.DataType] = {
    str: pa.string(),
    bytes: pa.binary(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}


def to_arrow(name: str, values: Array) -> tuple[pa.Field, pa.Array]:
    """A column of n rows, of any shape, as a field and an array of n values."""
    values = np.asarray(values)
    shape = values.shape[1:]
    stored, kind = _stored(values.reshape(-1))
    if shape:
        size = prod(shape)
        stored = pa.FixedSizeListArray.from_arrays(stored, size) if size else pa.nulls(len(values))
    about = {
        DTYPE: ("O" if values.dtype.kind in "US" else values.dtype.newbyteorder("=").str).encode(),
        SHAPE: ",".join(map(str, shape)).encode(),
        KIND: kind,
    }
    return pa.field(name, stored.type, metadata=about), stored


def from_arrow(field: pa.Field, stored: pa.Array) -> Array:
    """What `to_arrow` was given."""
    about = field.metadata or {}
    dtype = np.dtype(about.get(DTYPE, b"O").decode())
    sizes = about.get(SHAPE, b"").decode()
    shape = (len(stored), *(int(size) for size in sizes.split(",") if size))
    if not prod(shape):
        return np.zeros(shape, dtype)
    flat = stored.flatten() if len(shape) > 1 else stored
    if dtype.kind == "O":
        values = flat.to_pylist()
        if about.get(KIND) == JSON:
            values = [None if value is None else json.loads(value) for value in values]
        return objects(values).reshape(shape)
    found: Array = flat.to_numpy(zero_copy_only=False)
    return found.astype(dtype, copy=False).reshape(shape)


def hashed(name: str, values: Array, key: bytes) -> tuple[pa.Field, pa.Array]:
    """A column of which only equality is kept: HMAC-SHA256 of each row's value, None for None."""
    digests = [None if value is None else _digest(value, key) for value in np.asarray(values)]
    about = {DTYPE: b"O", SHAPE: b"", KIND: HASHED}
    return pa.field(name, pa.string(), metadata=about), pa.array(digests, pa.string())


def is_hashed(field: pa.Field) -> bool:
    """Whether a column holds digests."""
    return bool(field.metadata and field.metadata.get(KIND) == HASHED)


def objects(values: Iterable[Any]) -> Array:
    """A flat array of Python's own values, which may be lists."""
    listed = list(values)
    made = np.empty(len(listed), dtype=object)
    for at, value in enumerate(listed):
        made[at] = value
    return made


def _stored(flat: Array) -> tuple[pa.Array, bytes]:
    if flat.dtype.kind in "OUS":
        return _of_objects(flat.tolist())
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    return pa.array(np.ascontiguousarray(native), from_pandas=False), PLAIN


def _of_objects(values: Sequence[Any]) -> tuple[pa.Array, bytes]:
    """Values of one of Python's types with the type of Arrow that holds them all, else as JSON."""
    kinds = {type(value) for value in values} - {type(None)}
    kind = KINDS.get(next(iter(kinds), str)) if len(kinds) <= 1 else None
    if kind is not None:
        try:
            return pa.array(values, kind, from_pandas=False), PLAIN
        except (pa.ArrowInvalid, OverflowError, UnicodeEncodeError):
            pass  # a number beyond 64 bits, or half a surrogate pair, which JSON can write
    written = [None if value is None else json.dumps(value, default=_plain) for value in values]
    return pa.array(written, pa.string()), JSON


def _plain(value: Any) -> Any:
    """What JSON has no form for, in the nearest that it has."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _digest(value: Any, key: bytes) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=_plain, sort_keys=True)
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
