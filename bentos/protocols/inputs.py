"""Tensors by name, and the batch that they are for one model."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from bentos.protocols import datatypes
from bentos.protocols.elements import EXACT, names, show
from bentos.protocols.reader import Reader, place
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column
from bentos.tensors.batch import Array

UNNAMED = "input-0"  # what the metadata call the one input of a model that has no names


class Tensor(msgspec.Struct, frozen=True):
    """A tensor as it came: elements of BYTES are bytes or texts, null is None or NaN."""

    name: str
    datatype: str
    values: Array
    base64: bool = False


class Inputs:
    """Makes batches of tensors: one a column, or one of all columns that have no names.

    The name of that one does not matter. A value is changed to a column's dtype where it stays
    what it is.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._schema = table.schema
        source = table.schema.source
        self._by_place = table.schema.positional or source in ("model", "example")

    def described(self) -> list[tuple[str, str, list[int]]]:
        """Name, data type and shape of each tensor that goes in."""
        columns = self._schema.inputs
        if self._schema.positional and len({column.dtype for column in columns}) == 1:
            return [(UNNAMED, datatypes.of_column(columns[0]), [-1, len(columns)])]
        return [(c.name or UNNAMED, datatypes.of_column(c), [-1, *c.shape]) for c in columns]

    def sized(self, name: str, shape: Sequence[int]) -> None:
        """Raise BadInput for a shape that no tensor of the model's rows has."""
        most = 2 + max(len(column.shape) for column in self._schema.inputs)
        if not 1 <= len(shape) <= most:
            raise BadInput(
                f"tensor {name!r}: it has {len(shape)} dimensions, not 1 to {most}", name
            )
        self._table.sized(shape[0])

    def batch(self, tensors: Sequence[Tensor]) -> Batch:
        """The batch of all tensors of a call. Raises BadInput."""
        given = {tensor.name: tensor for tensor in tensors}
        if len(given) != len(tensors):
            raise BadInput(f"a tensor is there twice: {names(t.name for t in tensors)}")
        if len(tensors) == 1 and tensors[0].name not in self._schema.names:
            if self._schema.single is not None:
                return Batch({"": self._column(self._table.readers[0], tensors[0])})
            if self._by_place:
                return self._block(tensors[0])
        self._same_names(given)
        rows = {name: len(tensor.values) for name, tensor in given.items()}
        if len(set(rows.values())) > 1:
            raise BadInput(f"the tensors have not the same number of rows: {rows}")
        size = next(iter(rows.values()))
        return Batch(
            {
                reader.name: self._column(reader, given[reader.name])
                if reader.name in given
                else left_out(reader, size)
                for reader in self._table.readers
            }
        )

    def _same_names(self, given: dict[str, Tensor]) -> None:
        known = ", ".join(repr(name) for name, *_ in self.described())
        for name in given:
            if name not in self._schema.names or not name:
                raise BadInput(f"unknown tensor {show(name)}; there are {known}", name)
        for column in self._schema.inputs:
            if column.required and column.name not in given:
                name = column.name or UNNAMED
                raise BadInput(f"missing tensor {name!r}; there are {known}", name)

    def _block(self, tensor: Tensor) -> Batch:
        """All columns side by side in one tensor."""
        readers, values = self._table.readers, tensor.values
        if values.ndim != 2 or values.shape[1] != len(readers):
            message = f"its shape is {list(values.shape)}, not [-1, {len(readers)}]"
            raise BadInput(f"tensor {tensor.name!r}: {message}", tensor.name)
        if self._table.block is not None and values.dtype != object:
            made, right = exact(readers[0].spec, values, readers[0].limits)
            if right.all() and _alike(readers[0].spec, values):
                return Batch.of_block(self._schema.names, made)
        parts = (msgspec.structs.replace(tensor, values=column) for column in values.T)
        columns = zip(readers, parts, strict=True)
        return Batch({reader.name: self._column(reader, part) for reader, part in columns})

    def _column(self, reader: Reader, tensor: Tensor) -> Array:
        values, column = tensor.values, reader.spec
        if column.shape == () and values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        sizes = list(zip(values.shape[1:], column.shape, strict=False))
        if values.ndim != 1 + len(column.shape) or any(w not in (-1, s) for s, w in sizes):
            message = f"its shape is {list(values.shape)}, not {[-1, *column.shape]}"
            raise BadInput(f"tensor {tensor.name!r}: {message}", reader.name)
        if (datatypes.of_column(column) == "BYTES") != (tensor.datatype == "BYTES"):
            wanted = datatypes.of_column(column)
            message = f"its datatype is {tensor.datatype}, not {wanted}"
            raise BadInput(f"tensor {tensor.name!r}: {message}", reader.name)
        if tensor.datatype == "BYTES":
            return _texts(reader, values, tensor.base64)
        return _numbers(reader, values, tensor)


def left_out(reader: Reader, rows: int) -> Array:
    """The values of an optional column that has no tensor."""
    return reader.column([msgspec.UNSET if reader.loose else None] * rows, many=True)


def exact(
    column: Column, values: Array, limits: tuple[int, int] | None
) -> tuple[Array, "np.ndarray[Any, np.dtype[np.bool_]]"]:
    """Numbers in the column's dtype, and which of them stay what they are, and may be there."""
    with np.errstate(all="ignore"):
        made = values.astype(column.numpy)
        right = (made == values) & (made.astype(values.dtype) == values)
        if values.dtype.kind == "f" and made.dtype.kind in "iu":
            right &= np.abs(values) <= EXACT
        lacks = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        if limits is not None:
            right &= (np.trunc(made) == made) & (made >= limits[0]) & (made <= limits[1])
    return made, np.asarray(right | (lacks & column.nullable))


def _alike(column: Column, values: Array) -> bool:
    return (column.dtype == "bool") == (values.dtype == bool)


def _numbers(reader: Reader, values: Array, tensor: Tensor) -> Array:
    column = reader.spec
    if (column.dtype == "bool") != (tensor.datatype == "BOOL"):
        wanted = datatypes.of_column(column)
        message = f"its datatype is {tensor.datatype}, not {wanted}"
        raise BadInput(f"tensor {tensor.name!r}: {message}", reader.name)
    if "O" in (values.dtype.kind, column.numpy.kind):
        return reader.column(values.tolist(), many=True)
    made, right = exact(column, values, reader.limits)
    if not right.all():
        first = tuple(np.argwhere(~right)[0].tolist())
        value = values[first].item()
        why = "is missing" if value != value else f"cannot be a value of {column.dtype}"
        where = place(reader.name, first[0], many=True)
        raise BadInput(f"{where}{show(value)} {why}", reader.name, first[0])
    return made


def _texts(reader: Reader, values: Array, encoded: bool) -> Array:
    stride = max(1, values[0].size if values.ndim > 1 else 1)
    made: list[Any] = []
    for at, value in enumerate(values.ravel().tolist()):
        try:
            made.append(_text(value, reader.spec.dtype, encoded))
        except (ValueError, RecursionError):
            row = at // stride
            kinds = {"json": "JSON", "binary": "base64"}
            kind = "base64" if encoded else kinds.get(reader.spec.dtype, "text in UTF-8")
            where = place(reader.name, row, many=True)
            raise BadInput(f"{where}{show(value)} is no {kind}", reader.name, row) from None
    flat = np.fromiter(made, dtype=object, count=len(made)).reshape(values.shape)
    if reader.spec.dtype == "binary":
        return flat
    return reader.column(made if values.ndim == 1 else flat.tolist(), many=True)


def _text(value: Any, dtype: str, encoded: bool) -> Any:
    if value is None:
        return None
    raw = value if isinstance(value, bytes) else value.encode()
    if encoded:
        raw = base64.b64decode(raw, validate=True)
    if dtype == "binary":
        return raw
    return msgspec.json.decode(raw) if dtype == "json" else raw.decode()
