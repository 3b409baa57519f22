"""A version asked what others were asked: its answers to recorded rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bentos.recording.calls import Recorded
from bentos.serving.release import Contract, Release
from bentos.serving.witness import named
from bentos.tensors import BadInput, Batch
from bentos.tensors.batch import Array
from bentos.tensors.fitting import fit
from bentos.tensors.schema import PREDICTION

PIECE = 1024  # rows asked at a time


class CannotReplay(Exception):
    """Recorded rows that a version cannot be asked; the message says which columns are missing."""


class Replayer:
    """Asks a release, which is held open, with the columns of recorded calls."""

    def __init__(self, release: Release, contract: Contract) -> None:
        self._release = release
        self._inputs = tuple(contract.inputs or ())
        self._outputs = tuple(contract.outputs or ())

    def answers(self, recorded: Recorded) -> tuple[Array, Batch]:
        """Which rows were answered, and the answers to these, in order.

        Raises CannotReplay where columns are missing, or kept as digests only.
        """
        inputs = self._fitted(recorded)
        pieces = [self._asked(inputs.rows(at, at + PIECE)) for at in range(0, inputs.size, PIECE)]
        answered = np.concatenate([done for done, _ in pieces])
        found = [batch for _, batch in pieces if batch.size]
        return answered, joined(found)

    def _fitted(self, recorded: Recorded) -> Batch:
        schema = self._release.schema
        names = schema.names if schema else self._inputs or recorded.inputs.names
        if digests := sorted(recorded.hashed.intersection(names)):
            raise CannotReplay(f"the column {digests[0]!r} was recorded as digests only")
        if missing := [name for name in names if name not in recorded.inputs.names]:
            raise CannotReplay(f"the column {missing[0]!r} was not recorded")
        inputs = recorded.inputs.select(names)
        try:
            return fit(schema, dict(inputs)) if schema else inputs
        except BadInput as error:
            raise CannotReplay(f"{self._release} takes other columns: {error}") from None

    def _asked(self, rows: Batch) -> tuple[Array, Batch]:
        """Answers to a piece; where that fails, to each row by itself."""
        try:
            return np.ones(rows.size, dtype=bool), self._predicted(rows)
        except Exception:
            if rows.size == 1:
                return np.zeros(1, dtype=bool), Batch({PREDICTION: np.zeros(0)})
        parts = [self._asked(row) for row in rows.split([1] * rows.size)]
        found = [batch for _, batch in parts if batch.size]
        return np.concatenate([done for done, _ in parts]), joined(found)

    def _predicted(self, rows: Batch) -> Batch:
        asked: Any = rows
        if self._release.schema is None:
            asked = rows[""] if rows.names == ("",) else rows.block()
        found = named(self._release.predict(asked), self._outputs, PREDICTION)
        if found.size != rows.size:
            raise RuntimeError(f"{found.size} answers to {rows.size} rows")
        return found


def joined(batches: Sequence[Batch]) -> Batch:
    """All rows of batches, or none of no columns."""
    return Batch.concat(batches) if batches else Batch({PREDICTION: np.zeros(0)})
