"""Whether a graph answers as its model does; `bentos.admission.probes` makes the rows."""

import time
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from bentos.admission.comparing import Kind, Usual, compare
from bentos.tensors import BadInput, Batch

Predictor: TypeAlias = Callable[[Batch], Batch]
CHUNK = 1_000
FAR_SHARE = 0.005  # of the rows: there float32 decides by chance between classes as probable
MOST_REFUSALS = 200  # rows of which the model is asked by themselves


class Part(NamedTuple):
    """Rows of about the same size; those that are `far` from all samples have wider bounds."""

    rows: Batch
    kind: Kind = "network"


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
    worst_far: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether no row differs, and there were any."""
        return self.rows > self.refused and not self.differing

    def __str__(self) -> str:
        checked = f"{self.rows:,} rows" if self.whole else f"{self.rows:,} rows (time was up)"
        if self.differing:
            return f"{self.differing:,} of {checked} are answered otherwise: {self.first}"
        far = f", far from the samples within {self.worst_far:.1e}" if self.worst_far else ""
        return f"{checked} are answered alike, numbers within {self.worst_relative:.1e}{far}"


def prove(
    native: Predictor, graph: Predictor, rows: Batch, kind: Kind = "exact", seconds: float = 60.0
) -> Proof:
    """Ask both for all rows, or for as many as there is time for.

    A row that one of them refuses must be refused by the other.
    """
    starts = range(0, rows.size, CHUNK)
    parts = (Part(rows.rows(at, min(at + CHUNK, rows.size)), kind) for at in starts)
    return prove_parts(native, graph, parts, seconds)


def prove_parts(
    native: Predictor, graph: Predictor, parts: Iterable[Part], seconds: float
) -> Proof:
    """The same, part by part; the first has what is usual for a network."""
    run = _Run(native, graph, time.monotonic() + seconds)
    started, whole = time.monotonic(), True
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for part in parts:
            if run.late():
                whole = False
                break
            run.kind = part.kind
            run.chunk(part.rows)
    return Proof(
        run.kind, run.done, run.differing, run.refused, run.worst, time.monotonic() - started,
        whole, run.first, run.worst_far,
    )  # fmt: skip


class _Run:
    """A comparison, chunk by chunk."""

    def __init__(self, native: Predictor, graph: Predictor, until: float) -> None:
        self.native, self.graph, self.until = native, graph, until
        self.kind: Kind = "exact"
        self.usual: Usual = {}
        self.done = self.differing = self.refused = 0
        self.worst = self.worst_far = 0.0
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
            compared = compare(wanted, found, self.kind, self.usual)
            self._note(compared.worst_relative)
            self.done += rows.size
            count = int(compared.differs.sum())
            if count > (FAR_SHARE * rows.size if self.kind == "far" else 0):
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

    def _note(self, relative: float) -> None:
        if self.kind == "far":
            self.worst_far = max(self.worst_far, relative)
        else:
            self.worst = max(self.worst, relative)

    def _differ(
        self, count: int, row: Batch, wanted: "Batch | Exception", found: "Batch | Exception"
    ) -> None:
        self.differing += count
        self.first = self.first or _described(row, wanted, found)


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
