"""How a batch becomes the one matrix of a graph, and what may not come in."""

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.tensors import BadInput, Batch, Schema
from bentos.tensors.schema import PREDICTION

PROPERTY = "ascenso.door"
UNKNOWN, MISSING = 0, 1
ROWS, ANSWER, GUARD = "rows", "answer", "guard"  # a graph's own names, and PROBABILITIES


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of the matrix.

    `missing` says whether values may be missing, and `limit` how far from zero they may be, where
    that is nearer than the graph's own. A text column has `words` with their codes; `strangers`
    says whether it takes others.
    """

    name: str
    missing: bool = False
    limit: float | None = None
    words: tuple[tuple[str, int], ...] | None = None
    strangers: bool = True


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column that comes out; `scalar` says that each row has one value, not a list."""

    name: str
    scalar: bool = False


class Door(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a session must know of a graph, kept in the graph's metadata.

    `rows` is the most rows in one run.
    """

    entries: tuple[Entry, ...]
    limit: float
    outputs: tuple[Output, ...]
    single: bool = False
    float32: bool = False
    flat: bool = False
    classes: list[Any] | None = None
    classes_dtype: str = ""
    guards: tuple[tuple[str, str], ...] = ()
    rows: int | None = None


def outputs_of(schema: Schema) -> tuple[Output, ...]:
    """What comes out by the schema; one column of any shape where it does not say."""
    if not schema.outputs:
        return (Output(PREDICTION),)
    return tuple(Output(column.name, column.shape == ()) for column in schema.outputs)


def named(outputs: tuple[Output, ...], answers: NDArray[Any]) -> Batch:
    """Answers (rows,) or (rows, width) as the columns that a schema has. Raises ValueError."""
    if answers.dtype.kind in "US":
        answers = answers.astype(object)
    if len(outputs) == 1:
        output = outputs[0]
        narrow = output.scalar and answers.ndim == 2 and answers.shape[1] == 1
        return Batch({output.name: answers[:, 0] if narrow else answers})
    if answers.ndim != 2:
        raise ValueError(f"one number a row, but the schema has {len(outputs)} outputs")
    return Batch.of_block([output.name for output in outputs], answers)


class Entrance:
    """Makes batches one matrix, and refuses what the model would."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._names = [entry.name for entry in door.entries]
        self._dtype = np.dtype(np.float32 if door.float32 else np.float64)
        self._text = {
            at: dict(entry.words)
            for at, entry in enumerate(door.entries)
            if entry.words is not None
        }
        limits = [door.limit if e.limit is None else e.limit for e in door.entries]
        self._limits = np.minimum(limits, door.limit)
        self._may_lack = np.array([entry.missing for entry in door.entries], bool)
        # One product says of most batches that no value is missing, infinite or too large.
        self._safe = float(min(self._limits, default=1.0)) ** 2

    def __call__(self, batch: Batch) -> NDArray[Any]:
        """The matrix (rows, columns) of a batch. Raises BadInput."""
        rows = self._mixed(batch) if self._text else self._uniform(batch)
        flat = rows.ravel()
        if not np.dot(flat, flat) <= self._safe:
            self._look(rows)
        return rows

    def _uniform(self, batch: Batch) -> NDArray[Any]:
        if not self._door.single:
            batch = batch.select(self._names)
        block = batch.block()
        if block.dtype == self._dtype:
            return block
        if block.dtype == object:
            return self._mixed(batch)
        return block.astype(self._dtype)

    def _mixed(self, batch: Batch) -> NDArray[Any]:
        rows = np.empty((batch.size, len(self._names)), self._dtype)
        for at, name in enumerate(self._names):
            column = batch[name]
            if at in self._text:
                rows[:, at] = self._codes(at, column)
            elif column.dtype == object:
                rows[:, at] = [math.nan if value is None else value for value in column]
            else:
                rows[:, at] = column
        return rows

    def _codes(self, at: int, column: NDArray[Any]) -> list[float]:
        words = self._text[at]
        codes = [words.get(value, UNKNOWN) for value in column.tolist()]
        if UNKNOWN in codes:
            for row, code in enumerate(codes):
                if code == UNKNOWN:
                    codes[row] = self._stranger(at, row, column[row])
        return codes  # type: ignore[return-value]

    def _stranger(self, at: int, row: int, value: Any) -> int:
        """The code of a value that is no known word."""
        entry = self._door.entries[at]
        if value is None or value != value:
            if not entry.missing:
                raise BadInput(f"{self._label(entry)} may not be missing", entry.name, row)
            return MISSING
        if not isinstance(value, str):
            raise BadInput(f"{self._label(entry)} is {value!r}, which is no text", entry.name, row)
        if not entry.strangers:
            known = ", ".join(repr(word) for word, _ in (entry.words or ())[:5])
            more = len(entry.words or ()) - 5
            rest = f", and {more} more" if more > 0 else ""
            raise BadInput(
                f"{self._label(entry)} is {value!r}, which the model does not know; "
                f"it knows {known}{rest}",
                entry.name,
                row,
            )
        return UNKNOWN

    def _label(self, entry: Entry) -> str:
        name = f"column {entry.name}" if self._door.single else entry.name
        return name or "the input"

    def _look(self, rows: NDArray[Any]) -> None:
        """Find what is missing, infinite or too large, and refuse what may not be."""
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(rows) <= self._limits)
        bad &= ~(np.isnan(rows) & self._may_lack)
        if not bad.any():
            return
        row, at = (int(index) for index in np.argwhere(bad)[0])
        entry, value = self._door.entries[at], float(rows[row, at])
        if math.isnan(value):
            raise BadInput(f"{self._label(entry)} may not be missing", entry.name, row)
        limit = f"{self._limits[at]:.3g}"
        raise BadInput(
            f"{self._label(entry)} is {value!r}; the model takes numbers from -{limit} to {limit}",
            entry.name,
            row,
        )


class Exit:
    """Makes what a graph gives the answer of its model."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._classes: NDArray[Any] | None = None
        if door.classes is not None:
            text = np.dtype(door.classes_dtype).kind in "USO"
            dtype = object if text else np.dtype(door.classes_dtype)
            self._classes = np.array(door.classes, dtype=dtype)

    def __call__(self, answers: NDArray[Any]) -> Batch:
        """Indices become labels, and one number a row is flat where the model's are."""
        if self._classes is not None:
            answers = self._classes[answers]
        return named(self._door.outputs, answers[:, 0] if self._door.flat else answers)

    def refuse(self, guards: NDArray[np.bool_], start: int) -> None:
        """Raise BadInput for the first row that a guard found; rows count from `start`."""
        if guards.any():
            row, at = (int(index) for index in np.argwhere(guards)[0])
            message, column = self._door.guards[at]
            label = f"column {column}" if self._door.single else column
            raise BadInput(f"{label or 'the input'} {message}", column, start + row)
