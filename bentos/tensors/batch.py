"""Columns of equal length, by name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class Batch(Mapping[str, Array]):
    """Columns by name, each an array (rows, ...). Nobody changes an array in it.

    Columns of one dtype may lie side by side in one `block` (rows, columns): a model that takes
    a matrix then gets it as it is, and joining batches joins one array instead of many.
    A model of unnamed input has one column, whose name is empty.
    """

    __slots__ = ("_block", "_columns", "_length", "_names")

    def __init__(self, columns: Mapping[str, Array]) -> None:
        """Raise ValueError unless all columns have the same number of rows."""
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            sizes = {name: len(column) for name, column in columns.items()}
            raise ValueError(f"a batch has columns of one length, not {sizes}")
        self._columns: dict[str, Array] | None = dict(columns)
        self._names = tuple(columns)
        self._length = lengths.pop()
        self._block: Array | None = None

    @classmethod
    def of_block(cls, names: Sequence[str], block: Array) -> "Batch":
        """The columns of a matrix (rows, names)."""
        if block.ndim != 2 or block.shape[1] != len(names):
            raise ValueError(f"a block of {len(names)} columns is no {block.shape}")
        made = cls.__new__(cls)
        made._names, made._block, made._length = tuple(names), block, len(block)
        made._columns = None
        return made

    @property
    def size(self) -> int:
        """The number of rows; `len` counts columns, as of every mapping."""
        return self._length

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return self._names

    def block(self) -> Array:
        """All columns as one matrix (rows, columns), of the dtype that holds them all."""
        if self._block is None:
            columns = list(self._all().values())
            wide = len(columns) == 1 and columns[0].ndim == 2
            self._block = columns[0] if wide else np.column_stack(columns)
        return self._block

    def split(self, sizes: Sequence[int]) -> "list[Batch]":
        """Batches of so many rows each, in order: views, not copies."""
        parts, start = [], 0
        for size in sizes:
            parts.append(self.rows(start, start + size))
            start += size
        return parts

    def rows(self, start: int, stop: int) -> "Batch":
        """The rows from `start` to before `stop`: views, not copies."""
        if self._columns is None and self._block is not None:
            return Batch.of_block(self._names, self._block[start:stop])
        return Batch({name: column[start:stop] for name, column in self._all().items()})

    def select(self, names: Sequence[str]) -> "Batch":
        """Some of the columns, in this order."""
        return self if tuple(names) == self._names else Batch({name: self[name] for name in names})

    @staticmethod
    def concat(batches: "Sequence[Batch]") -> "Batch":
        """All rows of batches of the same columns, in order. Raises ValueError for others."""
        first = batches[0]
        if len(batches) == 1:
            return first
        if any(batch.names != first.names for batch in batches):
            raise ValueError("batches of different columns cannot be joined")
        blocks = [batch._block for batch in batches if batch._columns is None]
        if len(blocks) == len(batches):
            joined = np.concatenate([block for block in blocks if block is not None])
            return Batch.of_block(first.names, joined)
        return Batch(
            {name: np.concatenate([batch[name] for batch in batches]) for name in first.names}
        )

    def _all(self) -> dict[str, Array]:
        if self._columns is None:
            self._columns = dict(zip(self._names, self.block().T, strict=True))
        return self._columns

    def __getitem__(self, name: str) -> Array:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Batch({self._length} rows of {', '.join(self._names)})"
