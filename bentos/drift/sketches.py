"""Counts of a column that can be added to those of other workers, and stay small.

Numbers go into a KLL sketch of quantiles (Karnin, Lang, Liberty: Optimal Quantile Approximation
in Streams, 2016), texts into one of frequent items (Anderson and others: A High-Performance
Algorithm for Identifying Frequent Items in Data Streams, 2017); both are Apache DataSketches'.
"""

from collections import Counter
from typing import TypeAlias

import msgspec
import numpy as np
from datasketches import frequent_items_error_type, frequent_strings_sketch, kll_doubles_sketch

from bentos.drift import reference
from bentos.drift.reference import Expected
from bentos.tensors.batch import Array

K = 400  # a share is off by 1 % at most, 99 times of 100; a sketch takes up to 10 kB
LG_SIZE = 11  # 1,536 texts are counted exactly
LONGEST = 100  # characters of a text
RANKS = [tenth / 10 for tenth in range(1, 10)]
MOST_SHARES = 1000  # texts that a reference lists


class Packed(msgspec.Struct, array_like=True):
    """A count as bytes for other processes."""

    kind: str
    rows: int
    missing: int
    outside: int
    sketch: bytes


class Numbers:
    """How often which numbers came, of `rows` rows; `outside` the reference's range."""

    kind = "numbers"

    def __init__(self) -> None:
        self.rows = self.missing = self.outside = 0
        self.sketch = kll_doubles_sketch(K)

    def add(self, values: Array, expected: Expected | None) -> None:
        """Count numbers (rows,); NaN is missing, and so is every text."""
        self.rows += len(values)
        numbers = values.astype(np.float64) if values.dtype.kind != "O" else np.empty(0)
        numbers = numbers[~np.isnan(numbers)]
        self.missing += len(values) - len(numbers)
        self.sketch.update(numbers)
        if isinstance(expected, reference.Numbers):
            beyond = (numbers < expected.low) | (numbers > expected.high)
            self.outside += int(np.count_nonzero(beyond))

    def shares(self, edges: tuple[float, ...]) -> list[float]:
        """Those of the numbers up to each edge, and above all."""
        if self.sketch.is_empty():
            return [0.0] * (len(edges) + 1)
        return list(self.sketch.get_pmf(list(edges), True))

    def expected(self) -> reference.Numbers | None:
        """What is usual by this count; None where no number came."""
        if self.sketch.is_empty():
            return None
        low, high = float(self.sketch.get_min_value()), float(self.sketch.get_max_value())
        found = {float(edge) for edge in self.sketch.get_quantiles(RANKS, True)}
        edges = tuple(sorted(edge for edge in found if edge < high))
        shares = tuple(self.shares(edges))
        return reference.Numbers(self.missing / self.rows, low, high, edges, shares)


class Texts:
    """How often which texts came, of `rows` rows."""

    kind = "texts"

    def __init__(self) -> None:
        self.rows = self.missing = self.outside = 0
        self.sketch = frequent_strings_sketch(LG_SIZE)

    def add(self, values: Array, expected: Expected | None) -> None:
        """Count texts (rows,); None is missing, and a number is the text of it."""
        self.rows += len(values)
        for value, count in Counter(values.tolist()).items():
            if value is None or value != value:
                self.missing += count
            else:
                self.sketch.update(str(value)[:LONGEST], count)

    def share(self, text: str) -> float:
        """That of a text among those that came."""
        total = self.rows - self.missing
        count: int = self.sketch.get_estimate(text[:LONGEST])
        return min(1.0, count / total) if total else 0.0

    def expected(self) -> reference.Texts | None:
        """What is usual by this count; None where no text came."""
        total = self.rows - self.missing
        if not total:
            return None
        every = self.sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES)
        shares = {item[0]: min(1.0, item[1] / total) for item in every[:MOST_SHARES]}
        missed = sum(item[1] for item in every) < total  # some left the sketch
        whole = len(every) <= MOST_SHARES and not missed
        return reference.Texts(self.missing / self.rows, shares, whole)


Count: TypeAlias = Numbers | Texts


def begun(values: Array, expected: Expected | None) -> Count:
    """A count for a column, of the kind that its reference has, or else of its first values."""
    if expected is not None:
        return Numbers() if isinstance(expected, reference.Numbers) else Texts()
    return Texts() if values.dtype.kind == "O" else Numbers()


def merge(into: Count, more: Count) -> None:
    """Add a count to another one; of another kind, it is left out."""
    if (isinstance(into, Numbers) and isinstance(more, Numbers)) or (
        isinstance(into, Texts) and isinstance(more, Texts)
    ):
        into.sketch.merge(more.sketch)
    else:
        return
    into.rows += more.rows
    into.missing += more.missing
    into.outside += more.outside


def pack(count: Count) -> Packed:
    """A count for other processes."""
    sketch = bytes(count.sketch.serialize())
    return Packed(count.kind, count.rows, count.missing, count.outside, sketch)


def unpack(packed: Packed) -> Count:
    """A count of another process. Raises RuntimeError or ValueError for bytes that are none."""
    count: Count = Numbers() if packed.kind == Numbers.kind else Texts()
    count.rows, count.missing, count.outside = packed.rows, packed.missing, packed.outside
    if isinstance(count, Numbers):
        count.sketch = kll_doubles_sketch.deserialize(packed.sketch)
    else:
        count.sketch = frequent_strings_sketch.deserialize(packed.sketch)
    return count
