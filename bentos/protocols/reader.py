"""How the values of one column, as JSON has them, become its array."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from bentos.protocols import times
from bentos.protocols.elements import EXACT, UNFIT, Misshapen, Wrong, check, show
from bentos.tensors import BadInput, Column, Mismatch, Schema
from bentos.tensors.batch import Array
from bentos.tensors.fitting import absent

NAMED_VALUES = dict[str, str | int | float | bool | list[str]]  # what a DictVectorizer takes


class Reader:
    """One column's values.

    `type` is what a decoder must give for `array`, which is fast and says nothing of where a
    value is wrong; `column` takes any values and names the row. A `loose` column is left out in
    all rows or in none: no value of it can be missing alone.
    """

    def __init__(self, column: Column, alone: bool = False) -> None:
        """Rows of an `alone` column are nothing but its values."""
        self.spec = column
        self.name = column.name
        self.type = _type(column, alone)
        self.loose = not column.required and (column.shape != () or not column.nullable)
        self._objects = alone and column.dtype == "json" and column.spec is None
        self._check = check(column)
        self._dtype = column.numpy
        self._floats = self._dtype.kind == "f"
        self.limits = _limits(column)

    def array(self, values: Sequence[Any]) -> Array:
        """The array of values of the right types. Raises ValueError, TypeError, OverflowError."""
        if self.loose and any(value is msgspec.UNSET for value in values):
            return self._left_out(values)
        made = self._made(values)
        wanted = self.spec.shape
        if not wanted:
            return made
        sizes = zip(made.shape[1:], wanted, strict=False)
        if made.ndim != 1 + len(wanted) or any(want not in (-1, size) for size, want in sizes):
            raise Misshapen(f"rows of the shape {made.shape[1:]} are not {wanted}")
        return made

    def column(self, values: Sequence[Any], many: bool) -> Array:
        """The array of any values. Raises BadInput, which names the row if there are `many`."""
        try:
            return self.array(msgspec.convert(values, list[self.type]))  # type: ignore[name-defined]
        except UNFIT:
            return self._slowly(values, many)

    def _slowly(self, values: Sequence[Any], many: bool) -> Array:
        checked: list[Any] = []
        for row, value in enumerate(values):
            try:
                checked.append(value if value is msgspec.UNSET else self.read(value))
                self._same_shape(checked)
            except Wrong as wrong:
                raise _bad(wrong, self.place(row, many), self.name, row) from None
        try:
            return self.array(checked)
        except Wrong as wrong:
            raise _bad(wrong, self.place(0, False), self.name) from None

    def read(self, value: Any) -> Any:
        """A value as `type` has it. Raises Wrong."""
        if self._objects:
            try:
                return msgspec.convert(value, NAMED_VALUES)
            except msgspec.ValidationError as error:
                raise Wrong(f"{show(value)} is no object of texts and numbers: {error}") from None
        return self._nested(value, self.spec.shape, "")

    def place(self, row: int, many: bool) -> str:
        """Where a value is, for a message."""
        return place(self.name, row, many)

    def _same_shape(self, values: Sequence[Any]) -> None:
        """Raise Wrong if the last value has another shape than the first."""
        if self.spec.shape and msgspec.UNSET not in (values[0], values[-1]):
            first, other = _shape(values[0]), _shape(values[-1])
            if first != other:
                raise Misshapen(f"its shape is {other}, and that of row 0 is {first}")

    def _nested(self, value: Any, sizes: tuple[int, ...], inside: str) -> Any:
        try:
            if not sizes:
                return self._check(value)
            if not isinstance(value, list):
                raise Misshapen(f"{show(value)} is no list")
            if sizes[0] not in (-1, len(value)):
                raise Misshapen(f"{show(value)} is not of {sizes[0]}")
        except Wrong as wrong:
            raise type(wrong)(f"in {inside}: {wrong}" if inside else str(wrong)) from None
        inner = [self._nested(item, sizes[1:], f"{inside}[{at}]") for at, item in enumerate(value)]
        if len(sizes) > 1 and len({_shape(item) for item in inner}) > 1:
            raise Misshapen("its lists are not all of one length")
        return inner

    def _made(self, values: Sequence[Any]) -> Array:
        dtype = self._dtype
        if self.spec.dtype == "json":
            items = map(self._check, values) if self.spec.spec else values
            return np.fromiter(items, dtype=object, count=len(values))
        if dtype.kind == "M":
            flat = np.array(values, dtype=object)
            whole = [_nanoseconds(text) for text in flat.ravel().tolist()]
            return np.array(whole, dtype=np.int64).reshape(flat.shape).view(dtype)
        if not self._floats:
            return np.array(values, dtype=dtype)
        return self.narrow(np.array(values, dtype=np.float64))

    def narrow(self, wide: Array) -> Array:
        """Numbers in the column's own dtype. Raises Wrong where they do not fit."""
        if self.limits is not None:
            low, high = self.limits
            if np.any((wide < low) | (wide > high) | (np.trunc(wide) != wide) & (wide == wide)):
                raise Wrong(f"numbers that are no integers from {low} to {high}")
            return wide
        if wide.dtype == self._dtype:
            return wide
        with np.errstate(over="ignore"):
            made = wide.astype(self._dtype)
        if np.any(np.isinf(made) != np.isinf(wide)):
            raise Wrong(f"numbers that are too large for {made.dtype}")
        return made

    def _left_out(self, values: Sequence[Any]) -> Array:
        row = next((at for at, value in enumerate(values) if value is not msgspec.UNSET), None)
        if row is None:
            return absent(self.spec, len(values))
        lacks = next(at for at, value in enumerate(values) if value is msgspec.UNSET)
        message = f"it is missing, and row {row} has it: give it in all rows, or in none"
        raise BadInput(f"{self.place(lacks, True)}{message}", self.name, lacks)


def readers(schema: Schema) -> list[Reader]:
    """Those of all columns that go in."""
    return [Reader(column, schema.single is not None) for column in schema.inputs]


def place(column: str, row: int, many: bool) -> str:
    """Where a value is, as the beginning of a message."""
    words = [f"row {row}"] * many + [f"column {column!r}"] * bool(column)
    return f"{', '.join(words)}: " if words else ""


def _type(column: Column, alone: bool) -> Any:
    names = {"string": str, "binary": bytes, "datetime": str, "bool": bool}
    if column.dtype == "json":
        made: Any = NAMED_VALUES if alone and column.spec is None else Any
    else:
        whole = column.dtype not in names and np.dtype(column.dtype).kind in "iu"
        number = int | float if whole and column.nullable else int if whole else float
        made = names.get(column.dtype, number)
        made = made | None if column.nullable else made
    for _ in column.shape:
        made = list[made]
    return made


def _limits(column: Column) -> tuple[int, int] | None:
    """Those of integers that lie in a float64 array, since some may be missing."""
    if column.numpy.kind != "f" or np.dtype(column.dtype).kind not in "iu":
        return None
    limits = np.iinfo(column.dtype)
    return max(int(limits.min), -EXACT), min(int(limits.max), EXACT)


def _bad(wrong: Wrong, where: str, column: str, row: int | None = None) -> BadInput:
    kind = Mismatch if isinstance(wrong, Misshapen) else BadInput
    return kind(f"{where}{wrong}", column, row)


def _nanoseconds(text: str | None) -> int:
    return int(np.iinfo(np.int64).min) if text is None else times.nanoseconds(text)


def _shape(value: Any) -> tuple[int, ...]:
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        value = value[0] if value else None
    return tuple(sizes)
