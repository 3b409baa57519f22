"""What would change: the answers that were given, held against those of another version."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from bentos.recording.calls import Recorded
from bentos.tensors import Batch
from bentos.tensors.batch import Array
from bentos.tensors.schema import PROBABILITIES

QUANTILES = (0.5, 0.9, 0.99, 1.0)
SHOWN_LABELS = 12  # in a table of confusion; the others are together
SHOWN_TEXT = 60
OTHERS = "others"
SMALLEST = 1e-9  # what numbers are held against that are nearer to 0


class Row(msgspec.Struct, frozen=True):
    """A row that is answered otherwise: the id of its call and its number in it, `id#row`."""

    id: str
    column: str
    before: str
    after: str
    difference: float


class Column(msgspec.Struct, frozen=True):
    """An answer's column: labels before and after with the rows of each pair, or, of numbers, how
    far they are apart, by quantile.
    """

    differing: int
    labels: tuple[tuple[str, str, int], ...] = ()
    differences: dict[str, float] = {}


class Report(msgspec.Struct, frozen=True):
    """What a replay found. `failed` rows got no answer, and count as differing."""

    model: str
    version: str
    against: str
    since: str
    until: str
    tolerance: float
    rows: int
    equal: int
    differing: int
    failed: int
    columns: dict[str, Column]
    worst: tuple[Row, ...]

    @property
    def share(self) -> float:
        """The share of the rows that differ."""
        return self.differing / self.rows if self.rows else 0.0


class Comparison:
    """Holds answers against others, piece by piece. Numbers within `tolerance`, relative to what
    was answered before, are equal.
    """

    def __init__(self, tolerance: float, worst: int = 10) -> None:
        self._tolerance = tolerance
        self._most = worst
        self._worst: list[Row] = []
        self._labels: dict[str, Counter[tuple[str, str]]] = {}
        self._numbers: dict[str, list[tuple[Array, Array]]] = {}
        self._columns: Counter[str] = Counter()
        self.rows = self.differing = self.failed = 0
        self._times: list[Any] = []

    def add(self, recorded: Recorded, before: Batch, answered: Array, after: Batch) -> None:
        """Take rows with their answers before, and those after of the rows that got one.

        Raises ValueError where no column is in both.
        """
        names = [name for name in before if name in after.names and name != PROBABILITIES]
        if not names and after.size:
            raise ValueError(f"there were {list(before)}, and now there are {list(after)}")
        ids = np.array(recorded.ids, dtype=object)[answered]
        differs = np.zeros(len(ids), dtype=bool)
        for name in names if after.size else ():
            differs |= self._compared(name, ids, before[name][answered], after[name])
        failed = int((~answered).sum())
        for name in np.array(recorded.ids, dtype=object)[~answered][: self._most]:
            self._note([Row(name, "", "", "no answer", np.inf)])
        self.rows += len(answered)
        self.failed += failed
        self.differing += int(differs.sum()) + failed
        self._times += [recorded.times.min(), recorded.times.max()]

    def report(self, model: str, version: str, against: str) -> Report:
        """What was found."""
        names = [*self._labels, *self._numbers]
        since, until = _ends(self._times)
        return Report(
            model, version, against, since, until, self._tolerance,
            self.rows, self.rows - self.differing, self.differing, self.failed,
            {name: self._column(name) for name in names}, tuple(self._worst),
        )  # fmt: skip

    def numbers(self) -> Mapping[str, tuple[Array, Array]]:
        """Of each column of numbers those before and after, of all rows."""
        return {
            name: (np.concatenate([b for b, _ in parts]), np.concatenate([a for _, a in parts]))
            for name, parts in self._numbers.items()
        }

    def _compared(self, name: str, ids: Array, before: Array, after: Array) -> Array:
        """Which rows differ in a column."""
        if name not in self._labels and _are_numbers(before) and _are_numbers(after):
            return self._numbered(name, ids, before, after)
        one, other = _labels(before), _labels(after)
        self._labels.setdefault(name, Counter()).update(zip(one, other, strict=True))
        differs = np.array([a != b for a, b in zip(one, other, strict=True)], dtype=bool)
        self._columns[name] += int(differs.sum())
        places = np.flatnonzero(differs)[: self._most]
        self._note([Row(ids[at], name, one[at], other[at], 1.0) for at in places])
        return differs

    def _numbered(self, name: str, ids: Array, before: Array, after: Array) -> Array:
        """Which rows of numbers differ; of tensors, the element that differs most counts."""
        one, other = _flat(before), _flat(after)
        if one.shape != other.shape:
            self._columns[name] += len(ids)
            return np.ones(len(ids), dtype=bool)
        relative = _apart(one, other)
        furthest = relative.argmax(axis=1)
        rows = np.arange(len(ids))
        self._numbers.setdefault(name, []).append((one[rows, furthest], other[rows, furthest]))
        worst = relative[rows, furthest]
        differs: Array = worst > self._tolerance
        self._columns[name] += int(differs.sum())
        for at in [at for at in np.argsort(-worst, kind="stable")[: self._most] if differs[at]]:
            old, new = one[at, furthest[at]], other[at, furthest[at]]
            self._note([Row(ids[at], name, f"{old:.6g}", f"{new:.6g}", float(worst[at]))])
        return differs

    def _note(self, rows: Sequence[Row]) -> None:
        """Keep the worst; of rows that are equally far apart, those that came first."""
        found = sorted([*self._worst, *rows], key=lambda row: -row.difference)
        self._worst = found[: self._most]

    def _column(self, name: str) -> Column:
        if name in self._labels:
            return Column(self._columns[name], tuple(_together(self._labels[name])))
        before, after = self.numbers()[name]
        with np.errstate(invalid="ignore"):
            apart = np.abs(after - before)
        apart = apart[np.isfinite(apart)]
        quantiles = np.quantile(apart, QUANTILES) if len(apart) else ()
        return Column(
            self._columns[name],
            differences={f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=False)},
        )


def _are_numbers(values: Array) -> bool:
    return values.dtype.kind == "f" or (values.ndim > 1 and values.dtype.kind in "iu")


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1).astype(np.float64)


def _labels(values: Array) -> list[str]:
    return [str(value)[:SHOWN_TEXT] for value in values.tolist()]


def _apart(one: Array, other: Array) -> Array:
    """How far numbers are apart, relative to the first; 0 for both missing, or both infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        relative: Array = np.abs(one - other) / np.maximum(np.abs(one), SMALLEST)
    relative[np.isnan(relative)] = np.inf
    relative[(np.isnan(one) & np.isnan(other)) | (one == other)] = 0.0
    return relative


def _together(pairs: Counter[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Pairs of labels with their rows; beyond the most frequent labels, under one name."""
    frequent: Counter[str] = Counter()
    for (before, after), rows in pairs.items():
        frequent[before] += rows
        frequent[after] += rows
    shown = {label for label, _ in frequent.most_common(SHOWN_LABELS)}
    found: Counter[tuple[str, str, bool]] = Counter()
    for (before, after), rows in pairs.items():
        one = before if before in shown else OTHERS
        found[one, after if after in shown else OTHERS, before == after] += rows
    return [(one, other, rows) for (one, other, _), rows in sorted(found.items())]


def _ends(times: Sequence[Any]) -> tuple[str, str]:
    if not times:
        return "", ""
    first, last = np.datetime_as_string([min(times), max(times)], unit="s")
    return f"{first}Z", f"{last}Z"
