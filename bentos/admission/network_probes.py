"""Rows made to tell a network's graph from the network: tensors of any shape.

Most lie around the samples, as far from them as these from each other; some up to 1e12 times as
far. Numbers that must be whole or in a range, as those of words are, are found by asking.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.admission.proof import Part
from bentos.tensors import BadInput, Batch, Column, Schema

Answers: TypeAlias = Callable[[Batch], bool]
Resize: TypeAlias = Callable[[int], int]

COUNT, PART = 20_000, 1_000  # rows
MOST_NUMBERS = 2**23  # in the rows of a part
NEAR = (0.1, 1.0, 0.3, 3.0)  # times the samples' own spread
FAR = (1e1, 1e2, 1e4, 1e8, 1e12)
PIECES = (1, 2, 3, 7, 64)  # rows in the first batches of a part
LARGEST_ID = 2**24
RESIZES: tuple[Resize, ...] = (lambda n: n, lambda n: n + 1, lambda n: 2 * n, lambda n: 1)


def parts(schema: Schema, samples: Batch, answers: Answers, seed: int = 0) -> Iterator[Part]:
    """Rows of a schema near the samples, then far from them, then strange ones.

    `answers` says whether the network takes some rows.
    """
    random = np.random.default_rng(seed)
    columns = [_Drawn(column, samples, answers) for column in schema.inputs]
    count = max(1, min(PART, MOST_NUMBERS // sum(column.numbers for column in columns)))
    resizes = [r for r in RESIZES if r is RESIZES[0] or answers(_resized(schema, samples, r))]
    near = COUNT // PART - len(FAR)
    for at in range(near):
        rows = Batch({c.name: c.near(random, count, NEAR[at % len(NEAR)]) for c in columns})
        yield Part(_resized(schema, rows, resizes[at % len(resizes)]))
    for times in FAR:
        yield Part(Batch({c.name: c.near(random, count, times) for c in columns}), "far")
    for column in columns:
        others = {c.name: c.base(random, len(column.strange)) for c in columns}
        yield Part(Batch(others | {column.name: column.odd(random)}), "far")


def in_pieces(predict: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
    """Ask in batches of several sizes, as calls come in."""

    def part(rows: Batch, start: int, stop: int) -> Batch:
        try:
            return predict(rows.rows(start, stop))
        except BadInput as error:
            raise BadInput(error.message, error.column, start + (error.row or 0)) from error

    def answer(rows: Batch) -> Batch:
        bounds = [0, *(end for end in accumulate(PIECES) if end < rows.size), rows.size]
        return Batch.concat([part(rows, start, stop) for start, stop in pairwise(bounds)])

    return answer


class _Drawn:
    """The values that one tensor may be given."""

    def __init__(self, column: Column, samples: Batch, answers: Answers) -> None:
        self.name, self.dtype = column.name, column.numpy
        self.nullable = column.nullable
        self.given: NDArray[Any] = samples[column.name]
        self.numbers = max(1, self.given[0].size)
        self.low, self.high = _range(column.name, samples, answers)
        spread = np.asarray(self.given, np.float64).std(axis=0)
        self.spread = np.where(spread > 0, spread, max(float(spread.mean()), 1.0))
        self.strange = self._strange()

    def base(self, random: np.random.Generator, count: int) -> NDArray[Any]:
        """Samples."""
        return self.given[random.integers(len(self.given), size=count)]

    def near(self, random: np.random.Generator, count: int, times: float) -> NDArray[Any]:
        """Numbers so many times the samples' spread from them; whole ones in their range."""
        base = self.base(random, count)
        if self.dtype.kind == "b":
            return np.asarray(random.random(base.shape) < 0.5)
        if self.high is not None:
            drawn = random.integers(self.low, self.high, base.shape, endpoint=True)
            return drawn.astype(self.dtype)
        made = base + times * self.spread * random.normal(size=base.shape)
        if self.dtype.kind in "iu":
            limits = np.iinfo(self.dtype)
            made = np.clip(np.round(made), max(limits.min, -(2**53)), min(limits.max, 2**53))
        return made.astype(self.dtype)

    def odd(self, random: np.random.Generator) -> NDArray[Any]:
        """Samples with one strange value each."""
        rows = self.base(random, len(self.strange)).copy()
        flat = rows.reshape(len(rows), -1)
        places = random.integers(flat.shape[1], size=len(rows))
        flat[np.arange(len(rows)), places] = np.array(self.strange).astype(self.dtype)
        return rows

    def _strange(self) -> list[float]:
        if self.dtype.kind == "b":
            return [0.0, 1.0]
        if self.high is not None:
            outside = [self.low - 1, self.high + 1, self.high + 2]
            return [float(n) for n in outside if n >= 0 or self.dtype.kind != "u"]
        if self.dtype.kind in "iu":
            return [0.0, 1.0, 100.0]
        return [0.0, -0.0, 1.0, -1.0, 1e-30, 1e-45, *([np.nan] * 4 if self.nullable else [])]


def _range(name: str, samples: Batch, answers: Answers) -> tuple[int, int | None]:
    """From where to where a tensor's numbers may be, where they are those of words or the like."""
    row = samples.rows(0, 1)

    def takes(value: int) -> bool:
        values = np.full_like(row[name], 0)
        values[...] = value
        return answers(Batch(dict(row) | {name: values}))

    dtype = row[name].dtype
    top = LARGEST_ID if dtype.kind == "f" else min(LARGEST_ID, int(np.iinfo(dtype).max))
    if dtype.kind == "b" or takes(top):
        return 0, None
    taken, refused = 0, top
    while refused - taken > 1:
        middle = (taken + refused) // 2
        taken, refused = (middle, refused) if takes(middle) else (taken, middle)
    return 0, taken


def _resized(schema: Schema, rows: Batch, size: Resize) -> Batch:
    """The rows with other sizes, where a tensor's may vary."""
    made = dict(rows)
    for column in schema.inputs:
        for axis, free in enumerate(column.shape, 1):
            if free < 0:
                length = made[column.name].shape[axis]
                places = np.arange(size(length)) % length
                made[column.name] = np.take(made[column.name], places, axis)
    return Batch(made)
