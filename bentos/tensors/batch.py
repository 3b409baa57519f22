"""Columns of equal length, by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


class _Pending(NamedTuple):
    """Rows that are no columns yet, and what makes those of them."""

    rows: Sequence[Any]
    make: "Callable[[Sequence[Any]], Batch]"


class Batch(Mapping[str, Array]):
    """Columns by name, each an array (rows, ...). Nobody changes an array in it.

    Columns of one dtype may lie side by side in one `block` (rows, columns): a model that takes
    a matrix then gets it as it is, and joining batches joins one array instead of many.
    A model of unnamed input has one column, whose name is empty.
    """

    __slots__ = ("_block", "_columns", "_length", "_names", "_pending")
    _pending: _Pending | None

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
        self._pending = None

    @classmethod
    def of_block(cls, names: Sequence[str], block: Array) -> "Batch":
        """The columns of a matrix (rows, names)."""
        if block.ndim != 2 or block.shape[1] != len(names):
            raise ValueError(f"a block of {len(names)} columns is no {block.shape}")
        made = cls.__new__(cls)
        made._names, made._block, made._length = tuple(names), block, len(block)
        made._columns = made._pending = None
        return made

    @classmethod
    def of_rows(
        cls,
        names: tuple[str, ...],
        rows: Sequence[Any],
        make: "Callable[[Sequence[Any]], Batch]",
    ) -> "Batch":
        """Rows that `make` makes columns of these names, once somebody wants those.

        Batches of the same `make` join their rows before that: arrays of one row each cost more
        than all else. Give only rows that it cannot fail at.
        """
        made = cls.__new__(cls)
        made._names, made._length = names, len(rows)
        made._columns = made._block = None
        made._pending = _Pending(rows, make)
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
        self._settle()
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
        self._settle()
        made = Batch.__new__(Batch)
        made._names, made._columns, made._block = self._names, None, None
        made._pending = None
        if self._columns is None and self._block is not None:
            made._block = self._block[start:stop]
            made._length = len(made._block)
        else:
            made._columns = {name: column[start:stop] for name, column in self._all().items()}
            made._length = len(range(self._length)[start:stop])
        return made

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
        waiting = [batch._pending for batch in batches]
        make = waiting[0].make if waiting[0] else None
        alike = [one.rows for one in waiting if one is not None and one.make is make]
        if make and len(alike) == len(batches):
            return Batch.of_rows(first.names, [row for rows in alike for row in rows], make)
        for batch in batches:
            batch._settle()
        blocks = [batch._block for batch in batches if batch._columns is None]
        if len(blocks) == len(batches):
            joined = np.concatenate([block for block in blocks if block is not None])
            return Batch.of_block(first.names, joined)
        return Batch(
            {name: np.concatenate([batch[name] for batch in batches]) for name in first.names}
        )

    def _settle(self) -> None:
        """Make columns of rows that are none yet."""
        pending = self._pending
        if pending is not None:
            made = pending.make(pending.rows)
            self._block, self._columns = made._block, made._columns
            self._pending = None  # last: another thread may do the same

    def _all(self) -> dict[str, Array]:
        self._settle()
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
