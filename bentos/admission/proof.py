"""Whether a graph answers as its model does; `bentos.admission.probes` makes the rows."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.tensors import BadInput, Batch

Predictor: TypeAlias = Callable[[Batch], Batch]
Kind: TypeAlias = Literal["exact", "network"]

CHUNK = 1_000
MOST_REFUSALS = 200  # rows of which the model is asked by themselves
# Relative to the answer, and of the usual answer where this one is nearly zero. Libraries sum in
# their own orders; a network's layers do so in float32.
BOUNDS: Mapping[tuple[Kind, str], tuple[float, float]] = {
    ("exact", "float64"): (1e-9, 1e-12),
    ("exact", "float32"): (1e-6, 3e-7),
    ("network", "float64"): (1e-5, 1e-5),
    ("network", "float32"): (1e-5, 1e-5),
}


class Proof(msgspec.Struct, frozen=True):
    """What was compared. `whole` says that there was time for all rows.

    `refused` rows were refused by both; `differing` ones were answered otherwise, or by one only.
    """

    kind: Kind
    rows: int
    differing: int
    refused: int
    worst_relative: float
    seconds: float
    whole: bool
    first: str = ""

    @property
    def holds(self) -> bool:
        """Whether no row differs, and there were any."""
        return self.rows > self.refused and not self.differing

    def __str__(self) -> str:
        checked = f"{self.rows:,} rows" if self.whole else f"{self.rows:,} rows (time was up)"
        if self.differing:
            return f"{self.differing:,} of {checked} are answered otherwise: {self.first}"
        return f"{checked} are answered alike, numbers within {self.worst_relative:.1e}"


@dataclass(frozen=True)
class Compared:
    """Which rows differ, and by how much numbers do at most, relative to the answer."""

    differs: NDArray[np.bool_]
    worst_relative: float


def prove(
    native: Predictor, graph: Predictor, rows: Batch, kind: Kind = "exact", seconds: float = 60.0
) -> Proof:
    """Ask both for all rows, or for as many as there is time for.

    A row that one of them refuses must be refused by the other.
    """
    run = _Run(native, graph, kind, time.monotonic() + seconds)
    started = time.monotonic()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for start in range(0, rows.size, CHUNK):
            if run.late():
                break
            run.chunk(rows.rows(start, min(start + CHUNK, rows.size)))
    return Proof(
        kind, run.done, run.differing, run.refused, run.worst, time.monotonic() - started,
        run.done == rows.size, run.first,
    )  # fmt: skip


class _Run:
    """A comparison, chunk by chunk."""

    def __init__(self, native: Predictor, graph: Predictor, kind: Kind, until: float) -> None:
        self.native, self.graph, self.kind, self.until = native, graph, kind, until
        self.done = self.differing = self.refused = 0
        self.worst = 0.0
        self.first = ""

    def late(self) -> bool:
        return time.monotonic() > self.until

    def chunk(self, rows: Batch) -> None:
        """Set aside what the graph refuses, which the model must refuse; compare the others."""
        while rows.size:
            try:
                return self._answers(rows, self.graph(rows))
            except BadInput as error:
                at = error.row or 0
                self._refusal(rows.rows(at, at + 1), error)
                others = np.arange(rows.size) != at
                rows = Batch({name: column[others] for name, column in rows.items()})
        return None

    def _refusal(self, row: Batch, error: BadInput) -> None:
        """The model is asked for a row that the graph refused, unless many agreed already."""
        self.done += 1
        wanted = _asked(self.native, row) if self.refused < MOST_REFUSALS else error
        if isinstance(wanted, Batch):
            self._differ(1, row, wanted, error)
        else:
            self.refused += 1

    def _answers(self, rows: Batch, found: Batch) -> None:
        wanted = _asked(self.native, rows)
        if isinstance(wanted, Batch):
            compared = compare(wanted, found, self.kind)
            self.worst = max(self.worst, compared.worst_relative)
            self.done += rows.size
            count = int(compared.differs.sum())
            if count:
                at = int(compared.differs.argmax())
                self._differ(count, rows.rows(at, at + 1), wanted.rows(at, at + 1),
                             found.rows(at, at + 1))  # fmt: skip
        elif rows.size > 1 and not self.late():
            middle = rows.size // 2
            for start, stop in ((0, middle), (middle, rows.size)):
                self._answers(rows.rows(start, stop), found.rows(start, stop))
        else:  # the model refuses, or there is no time to find out which of these rows
            self.done += rows.size
            self._differ(rows.size, rows.rows(0, 1), wanted, found.rows(0, 1))

    def _differ(
        self, count: int, row: Batch, wanted: "Batch | Exception", found: "Batch | Exception"
    ) -> None:
        self.differing += count
        self.first = self.first or _described(row, wanted, found)


def compare(native: Batch, graph: Batch, kind: Kind = "exact") -> Compared:
    """Row by row: labels equal, numbers within the bounds, columns and shapes the same."""
    if native.names != graph.names or native.size != graph.size:
        return Compared(np.ones(native.size, bool), np.inf)
    differs = np.zeros(native.size, bool)
    worst = 0.0
    for name in native.names:
        wanted, found = native[name], graph[name]
        if wanted.shape != found.shape:
            return Compared(np.ones(native.size, bool), np.inf)
        if wanted.dtype.kind != "f":
            apart = np.asarray(wanted != found, bool)
        else:
            bounds = BOUNDS[kind, "float32" if wanted.dtype == np.float32 else "float64"]
            apart, relative = _numbers(wanted, found, *bounds)
            worst = max(worst, relative)
        differs |= apart.reshape(len(apart), -1).any(axis=1)
    return Compared(differs, worst)


def _numbers(
    wanted: NDArray[Any], found: NDArray[Any], relative: float, small: float
) -> tuple[NDArray[np.bool_], float]:
    wide, other = wanted.astype(np.float64), found.astype(np.float64)
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    size = np.abs(wide)
    finite = size[np.isfinite(size) & (size > 0)]
    usual = float(np.median(finite)) if len(finite) else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(wide - other))
    within = same | (apart <= relative * size + small * usual)
    floor = np.maximum(size, usual * small / relative)
    ratio = np.divide(apart, floor, out=np.zeros_like(apart), where=floor > 0)
    return ~within, float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))


def _asked(predictor: Predictor, rows: Batch) -> "Batch | Exception":
    try:
        return predictor(rows)
    except Exception as error:
        return error


def _described(row: Batch, wanted: "Batch | Exception", found: "Batch | Exception") -> str:
    def said(answer: "Batch | Exception") -> str:
        if isinstance(answer, Batch):
            return str({name: column.tolist()[0] for name, column in answer.items()})
        return f"{type(answer).__name__}: {answer}"

    return f"{said(row)} gives {said(found)}, not {said(wanted)}"[:500]
