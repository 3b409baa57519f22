"""What came to a version and what it answered, counted by columns; and that of some hours."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from bentos.drift.columns import Columns
from bentos.drift.psi import found
from bentos.drift.reference import Reference
from bentos.drift.sketches import Count, Packed, begun, merge, pack, unpack
from bentos.serving.drift import ColumnDrift, Drift, Source

Side = Literal["inputs", "outputs"]
SIDES: tuple[Side, Side] = ("inputs", "outputs")


class Kept(msgspec.Struct):
    """A tally as bytes for other processes."""

    rows: int
    inputs: dict[str, Packed]
    outputs: dict[str, Packed]


class Tally:
    """Counts of the columns of `rows` rows and their answers."""

    def __init__(self) -> None:
        self.rows = 0
        self.sides: dict[Side, dict[str, Count]] = {side: {} for side in SIDES}

    def add(self, rows: int, inputs: Columns, outputs: Columns, usual: Reference | None) -> None:
        """Count rows, beside what is usual if that is known."""
        self.rows += rows
        for side, columns in zip(SIDES, (inputs, outputs), strict=True):
            expected = usual.of(side) if usual else {}
            counts = self.sides[side]
            for name, values in columns.items():
                if name not in counts:
                    counts[name] = begun(values, expected.get(name))
                counts[name].add(values, expected.get(name))

    def merge(self, more: "Tally") -> None:
        """Add what another tally counted."""
        self.rows += more.rows
        for side in SIDES:
            counts = self.sides[side]
            for name, count in more.sides[side].items():
                if name not in counts:
                    counts[name] = unpack(pack(count))  # what is merged into is this one's own
                else:
                    merge(counts[name], count)

    def encode(self) -> bytes:
        """For other processes."""
        inputs, outputs = (
            {name: pack(count) for name, count in self.sides[side].items()} for side in SIDES
        )
        return msgspec.msgpack.encode(Kept(self.rows, inputs, outputs))

    @classmethod
    def decode(cls, content: bytes) -> "Tally":
        """What another process counted. Raises ValueError or RuntimeError where it is none."""
        kept = msgspec.msgpack.decode(content, type=Kept)
        made = cls()
        made.rows = kept.rows
        for side, packed in zip(SIDES, (kept.inputs, kept.outputs), strict=True):
            made.sides[side] = {name: unpack(one) for name, one in packed.items()}
        return made

    def reference(self) -> Reference:
        """What is usual by what was counted, which are some rows."""
        inputs, outputs = (
            {
                name: expected
                for name, count in self.sides[side].items()
                if (expected := count.expected())
            }
            for side in SIDES
        )
        return Reference(self.rows, inputs, outputs)

    def drift(self, usual: Reference | None, source: Source | None) -> Drift:
        """What was counted, beside what is usual."""
        columns, outputs = (dict(self._drift(side, usual)) for side in SIDES)
        return Drift(self.rows, source, columns, outputs)

    def _drift(self, side: Side, usual: Reference | None) -> Iterable[tuple[str, ColumnDrift]]:
        expected = usual.of(side) if usual else {}
        for name, count in self.sides[side].items():
            known = expected.get(name)
            compared = found(known, usual.rows, count) if usual and known else None
            yield name, compared or ColumnDrift(None, count.missing / max(1, count.rows))
