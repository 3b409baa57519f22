"""The columns of a model: their types, and how what comes in differs from the training's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentos.serving.drift import Bin, ColumnDrift
from bentos.serving.slot import Slot
from bentos.tensors.schema import PREDICTION
from bentos.web.console import words
from bentos.web.console.overview import SHIFTED, drift_of

MOST_VALUES = 10
MOST_COLUMNS = 64
Listed = list[tuple[str, str]]


def taken(slot: Slot[Any, Any]) -> Listed:
    """The columns that go in, each with the values that it may have, where those are known."""
    schema = slot.live.schema if slot.live else None
    if schema is None:
        return [(f"{name}: {kind}", "") for name, kind in (slot.contract.inputs or {}).items()]
    return [(str(column), _values(column.categories)) for column in schema.inputs]


def given(slot: Slot[Any, Any]) -> Listed:
    """The columns that come out."""
    schema = slot.live.schema if slot.live else None
    if schema is None:
        return [(f"{name}: {kind}", "") for name, kind in (slot.contract.outputs or {}).items()]
    return [(str(column), "") for column in schema.outputs] or [(PREDICTION, "")]


def _values(categories: Sequence[object] | None) -> str:
    if not categories:
        return ""
    rest = len(categories) - MOST_VALUES
    more = f" and {rest} more" if rest > 0 else ""
    shown = (json.dumps(value, ensure_ascii=False) for value in categories[:MOST_VALUES])
    return ", ".join(shown) + more


@dataclass(frozen=True)
class Shift:
    """How one column differs from the reference; its bins have a label and two shares."""

    name: str
    psi: str
    bad: bool
    rest: str
    bins: Sequence[Bin]

    @property
    def scale(self) -> float:
        """The height of the share 1 in a picture 60 high."""
        most = max((max(one.expected, one.observed) for one in self.bins), default=0)
        return 60 / most if most else 0


@dataclass(frozen=True)
class Shifts:
    """All columns of a model, and its outputs."""

    rows: int
    reference: str
    inputs: Sequence[Shift]
    outputs: Sequence[Shift]


def shifts(slot: Slot[Any, Any]) -> Shifts | None:
    """What came to the live release, if that was counted; what shifted most comes first."""
    found = drift_of(slot.live)
    if not found or not found.rows:
        return None
    return Shifts(
        found.rows, found.reference or "", _shifts(found.columns), _shifts(found.outputs)
    )


def _shifts(columns: Mapping[str, ColumnDrift]) -> list[Shift]:
    ordered = sorted(columns.items(), key=lambda pair: -(pair[1].psi or 0))
    return [_shift(name, one) for name, one in ordered[:MOST_COLUMNS]]


def _shift(name: str, one: ColumnDrift) -> Shift:
    shares = {"missing": one.missing, "unknown": one.unknown, "outside": one.outside}
    rest = ", ".join(f"{words.share(share)} {what}" for what, share in shares.items() if share)
    bad = one.psi is not None and one.psi >= SHIFTED
    return Shift(name, words.number(one.psi), bad, rest, one.bins)
