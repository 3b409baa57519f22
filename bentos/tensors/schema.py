"""What the columns of a model are."""

from collections import Counter
from typing import Any, Literal

import msgspec
import numpy as np

from bentos.tensors.errors import BadSchema

Dtype = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "string",
    "binary",
    "datetime",
    "json",
]
Source = Literal["signature", "example", "model", "service"]
PREDICTION, PROBABILITIES = "prediction", "probabilities"  # answers that have no name of their own
OBJECTS = frozenset({"string", "binary", "json"})  # arrays of Python's own str, bytes, and JSON


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column: `shape` is that of one row's value, () for a scalar, -1 where it may vary.

    A column that is not `required` may be left out; one that is `nullable` may lack values, as
    NaN, NaT or None. `categories` are the values that the model knows, where it has a list.
    `spec` is MLflow's description of nested values, for the dtype `json`.
    """

    name: str
    dtype: Dtype
    shape: tuple[int, ...] = ()
    required: bool = True
    nullable: bool = False
    categories: tuple[str | int | float | bool, ...] | None = None
    spec: dict[str, Any] | None = None

    @property
    def numpy(self) -> "np.dtype[Any]":
        """The dtype of the column's array. Integers that may be missing are float64."""
        if self.dtype in OBJECTS:
            return np.dtype(object)
        if self.dtype == "datetime":
            return np.dtype("datetime64[ns]")
        if self.nullable and np.dtype(self.dtype).kind in "iu":
            return np.dtype(np.float64)
        if self.nullable and self.dtype == "bool":
            return np.dtype(object)
        return np.dtype(self.dtype)

    def __str__(self) -> str:
        sizes = "".join(f"[{size}]" for size in self.shape)
        return f"{self.name or 'rows'}: {self.dtype}{sizes}{'?' if self.nullable else ''}"


class Param(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that a caller may set for a whole call; `shape` is (-1,) for a list.

    A `fixed` one may be given, but with no other value than its default.
    """

    name: str
    dtype: Dtype
    default: Any = None
    shape: tuple[int, ...] = ()
    spec: dict[str, Any] | None = None
    fixed: bool = False


class Schema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The columns that go into a model and those that come out, and where that is known from.

    `positional` says that callers send rows as lists: the names are then only "0", "1", ...
    Without `outputs` an answer is one column, `prediction`.
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...] = ()
    params: tuple[Param, ...] = ()
    source: Source = "signature"
    positional: bool = False

    def __post_init__(self) -> None:
        for side in (self.inputs, self.outputs):
            counts = Counter(column.name for column in side)
            if twice := [name for name, count in counts.items() if count > 1]:
                raise BadSchema(f"the column {min(twice)!r} is there twice")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that go in."""
        return tuple(column.name for column in self.inputs)

    @property
    def single(self) -> Column | None:
        """The one unnamed column, of a model that takes rows, texts or a tensor as they are."""
        alone = len(self.inputs) == 1 and not self.inputs[0].name
        return self.inputs[0] if alone else None

    @property
    def uniform(self) -> "np.dtype[Any] | None":
        """The dtype of all scalar columns, where it is one: they make a block."""
        kinds = {column.numpy for column in self.inputs if column.shape == ()}
        whole = len(kinds) == 1 and all(column.shape == () for column in self.inputs)
        return kinds.pop() if whole else None

    def column(self, name: str) -> Column:
        """The column of that name that goes in. Raises KeyError."""
        return next(column for column in self.inputs if column.name == name)

    def known(self) -> str:
        """The columns that there are, for an error message."""
        return f"there are {', '.join(map(repr, self.names))}"
