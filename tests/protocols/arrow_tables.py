"""Columns as tables of Arrow have them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from bentos.tensors import Column, Schema
from bentos.tensors.batch import Array


def stream(table: pa.Table, rows: int | None = None, **options: Any) -> bytes:
    """A table as a body, in batches of so many rows."""
    sink = pa.BufferOutputStream()
    chosen = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=chosen) as writer:
        writer.write_table(table, rows)
    return bytes(sink.getvalue())


def read(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


def table(schema: Schema, given: Mapping[str, Array]) -> pa.Table:
    """Columns of a schema; what is NaN or NaT where it may be missing is null."""
    return pa.table({c.name or "rows": column(c, given[c.name]) for c in schema.inputs})


def column(spec: Column, values: Array) -> pa.Array:
    kind = arrow_type(spec)
    if kind is None:
        return pa.array(values.tolist())
    flat = pa.array([_plain(spec, value) for value in values.ravel()], kind)
    for size in reversed(values.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def _plain(spec: Column, value: Any) -> Any:
    if value is None or (spec.nullable and value != value):
        return None
    if spec.dtype in ("string", "binary"):
        return value
    if spec.dtype == "datetime":
        return int(value.astype(np.int64))
    return int(value) if spec.dtype.startswith(("int", "uint")) else value


def arrow_type(spec: Column) -> pa.DataType | None:
    if spec.dtype == "json":
        return None
    known = {
        "string": pa.string(), "binary": pa.binary(), "datetime": pa.timestamp("ns"),
        "bool": pa.bool_(),
    }  # fmt: skip
    return known.get(spec.dtype) or pa.from_numpy_dtype(np.dtype(spec.dtype))
