"""How far what a release gets and answers lies from its training: figures to show."""

from typing import Any, Literal

import msgspec

Source = Literal["training", "example", "served"]


class Bin(msgspec.Struct, frozen=True):
    """A part of a column's values: the share that the reference has in it, and the one here."""

    label: str
    expected: float
    observed: float


class ColumnDrift(msgspec.Struct, frozen=True):
    """One column. Shares are 0 to 1; None is for what cannot be told, or not yet.

    `psi` is the population stability index over the `bins`. `missing` values are null or NaN,
    `unknown` ones are categories that the reference has not, `outside` are numbers beyond its
    least and its greatest.
    """

    psi: float | None
    missing: float
    unknown: float | None = None
    outside: float | None = None
    bins: tuple[Bin, ...] = ()


class Drift(msgspec.Struct, frozen=True):
    """What came to a release within some hours, over all workers of this machine.

    `rows` were counted, which are a sample of those that came. `reference` says where it is known
    from what is usual; None: not yet.
    """

    rows: int
    reference: Source | None
    columns: dict[str, ColumnDrift]
    outputs: dict[str, ColumnDrift]

    def report(self) -> dict[str, Any]:
        """As `/releases` has it: without the bins."""
        return {
            "rows": self.rows,
            "reference": self.reference,
            "columns": {name: _shown(column) for name, column in self.columns.items()},
            "outputs": {name: _shown(column) for name, column in self.outputs.items()},
        }


def _shown(column: ColumnDrift) -> dict[str, float | None]:
    shares = {
        "psi": column.psi,
        "missing": column.missing,
        "unknown": column.unknown,
        "outside": column.outside,
    }
    return {name: None if share is None else round(share, 4) for name, share in shares.items()}
