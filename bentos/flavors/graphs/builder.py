"""A graph under construction: tensors of columns, and what is known of each column.

Operators: https://onnx.ai/onnx/operators/ and https://onnx.ai/onnx/operators/index.html#ai-onnx-ml
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import NodeProto, helper, numpy_helper

from bentos.flavors.graphs.columns import (
    FIRST_VALUE,
    FLOAT32_MAX,
    FLOAT64_MAX,
    Column,
    Dtype,
    Frame,
    Words,
    floating,
)
from bentos.flavors.graphs.compiled import NoGraph, TooFar

ML = "ai.onnx.ml"


class Builder:
    """Collects nodes and constants. `limit` is how far from zero numbers may come in."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.nodes: list[NodeProto] = []
        self.types: dict[str, Dtype] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.words: dict[str, Words] = {}
        self.padded: dict[str, str] = {}  # a table by code, and the text column of its codes
        self.refused: set[str] = set()  # input columns in which nothing may be missing
        self.guards: list[tuple[str, str, str]] = []  # a bool (rows,), a message, a column
        self.critical: dict[str, list[NDArray[np.float64]]] = {}
        self.row_bytes = 0  # the most that one tensor takes a row
        self.widths: dict[str, int] = {}  # of the tensors that columns were made of
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._tables: dict[tuple[str, bytes], str] = {}
        self._made: dict[bytes, str] = {}  # nodes by their digests

    def node(
        self, kind: str, *inputs: str, dtype: DTypeLike, domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator of one output, a tensor of this dtype, and give its name.

        An equal one that is there already is not made twice.
        """
        node = helper.make_node(kind, list(inputs), [], domain=domain)
        for key, value in attributes.items():
            if value is not None:
                node.attribute.append(_attribute(key, value))
        digest = sha256(node.SerializeToString(deterministic=True)).digest()
        if digest not in self._made:
            self._made[digest] = name = f"t{len(self.nodes)}"
            node.output.append(name)
            self.nodes.append(node)
            self.types[name] = np.dtype(dtype)
        return self._made[digest]

    def constant(self, value: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Give the name of a constant; equal ones are one."""
        array = np.ascontiguousarray(value, dtype=dtype)
        array = array.reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = name = f"c{len(self.constants)}"
            self.constants[name], self.types[name] = array, array.dtype
        return self._known[key]

    def table(self, rows: NDArray[Any], door: str) -> str:
        """A constant with a row for each code of a text column; later codes get the first row."""
        key = (door, rows.dtype.str.encode() + rows.tobytes())
        if key not in self._tables:
            self._tables[key] = name = f"c{len(self.constants)}"
            self.constants[name], self.types[name] = rows, rows.dtype
            self.padded[name] = door
        return self._tables[key]

    def finish(self) -> None:
        """Give the tables by code as many rows as there are codes."""
        for name, door in self.padded.items():
            rows = self.constants[name]
            lacking = FIRST_VALUE + len(self.words[door].values) - len(rows)
            self.constants[name] = np.concatenate([rows, np.repeat(rows[:1], lacking, axis=0)])

    def cast(self, tensor: str, dtype: DTypeLike) -> str:
        """The tensor in another dtype."""
        wanted = np.dtype(dtype)
        if self.types[tensor] == wanted:
            return tensor
        to = helper.np_dtype_to_tensor_dtype(wanted)
        return self.node("Cast", tensor, dtype=wanted, to=int(to))

    def math(self, kind: str, left: str, right: str | ArrayLike) -> str:
        """`left <operator> right`, in the dtype of `left`."""
        dtype = self.types[left]
        other = right if isinstance(right, str) else self.constant(right, dtype)
        return self.node(kind, left, other, dtype=dtype)

    def in_place(self, kind: str, left: str, right: ArrayLike) -> str:
        """What numpy does at `left += right`: compute in the wider dtype, keep that of `left`."""
        constant = np.asarray(right)
        kept = self.types[left]
        wide = np.result_type(kept, constant.dtype)
        return self.cast(self.math(kind, self.cast(left, wide), constant), kept)

    def select(self, tensor: str, indices: Sequence[int]) -> str:
        """Some columns of a tensor."""
        index = self.constant(np.asarray(indices, dtype=np.int64))
        return self.node("Gather", tensor, index, dtype=self.types[tensor], axis=1)

    def concat(self, tensors: Sequence[str]) -> str:
        """Tensors of one dtype side by side."""
        if len(tensors) == 1:
            return tensors[0]
        return self.node("Concat", *tensors, dtype=self.types[tensors[0]], axis=1)

    def reduce(self, kind: str, tensor: str, keep: bool = True, axis: int = 1) -> str:
        """Reduce an axis of a tensor."""
        axes = self.constant(np.array([axis], dtype=np.int64))
        return self.node(kind, tensor, axes, dtype=self.types[tensor], keepdims=int(keep))

    def matrix(self, frame: Frame, dtype: DTypeLike | None = None) -> str:
        """One tensor (rows, columns) of numbers; float64 unless all columns are float32."""
        for column in frame:
            if column.text is not None:
                raise NoGraph(f"numbers are made of the text column {column.text!r}")
        wanted = np.dtype(dtype) if dtype else floating(frame)
        parts = [
            self._narrowed(self._part(tensor, run), run, wanted) for tensor, run in _runs(frame)
        ]
        return self.concat(parts)

    def _part(self, tensor: str, run: Frame) -> str:
        indices = [column.index for column in run]
        return (
            tensor if indices == list(range(self.widths[tensor])) else self.select(tensor, indices)
        )

    def _narrowed(self, tensor: str, run: Frame, wanted: Dtype) -> str:
        if wanted == np.float32 and any(column.reach > FLOAT32_MAX for column in run):
            raise TooFar("a number is too large for float32")
        return self.cast(tensor, wanted)

    def frame(self, tensor: str, reach: ArrayLike, doors: frozenset[str] = frozenset()) -> Frame:
        """The columns of a new tensor, which no value leaves farther than `reach` (columns,)."""
        reaches = np.asarray(reach, dtype=np.float64)
        if not np.all(reaches < FLOAT64_MAX):
            raise TooFar("a number is too large for float64")
        self.widths[tensor] = len(reaches)
        dtype = self.types[tensor]
        return tuple(
            Column(tensor, at, dtype, float(far), doors) for at, far in enumerate(reaches)
        )

    def changed(
        self, tensor: str, frame: Frame, reach: ArrayLike, *steps: tuple[str, ArrayLike]
    ) -> Frame:
        """The columns of `frame` after steps, ("Add" or "Mul", numbers), that made `tensor`."""
        made = self.frame(tensor, reach)
        each = [(kind, np.broadcast_to(by, len(frame))) for kind, by in steps]
        return tuple(
            replace(
                new,
                doors=old.doors,
                source=old.source,
                steps=(*old.steps, *((kind, float(by[at])) for kind, by in each)),
            )
            for at, (new, old) in enumerate(zip(made, frame, strict=True))
        )

    def refuse_missing(self, frame: Iterable[Column]) -> None:
        """What reads these columns takes no missing values: they are refused at the door."""
        for column in frame:
            self.refused |= column.doors

    def note(self, column: Column, thresholds: NDArray[Any]) -> None:
        """Remember at which values of its input column a column crosses thresholds."""
        if column.source is None or not len(thresholds):
            return
        values = np.asarray(thresholds, dtype=np.float64)
        for kind, by in reversed(column.steps):
            values = values - by if kind == "Add" else values / by
        self.critical.setdefault(column.source, []).append(values[np.isfinite(values)])


def _runs(frame: Frame) -> list[tuple[str, Frame]]:
    """Columns that follow each other in a frame and lie in one tensor."""
    runs: list[tuple[str, list[Column]]] = []
    for column in frame:
        if runs and runs[-1][0] == column.tensor:
            runs[-1][1].append(column)
        else:
            runs.append((column.tensor, [column]))
    return [(tensor, tuple(run)) for tensor, run in runs]


def _attribute(key: str, value: Any) -> Any:
    """An attribute; long arrays are not looked at number by number."""
    if isinstance(value, np.ndarray):
        from onnx import AttributeProto

        made = AttributeProto()
        made.name = key
        if value.dtype == np.int64:
            made.type = AttributeProto.INTS
            made.ints.extend(value.tolist())
        else:
            made.type = AttributeProto.TENSOR
            made.t.CopyFrom(numpy_helper.from_array(value, key))
        return made
    return helper.make_attribute(key, value)
