"""How far shares lie from those that are usual: the population stability index.

PSI = sum over the bins of (observed - expected) * ln(observed / expected), in N. Siddiqi, Credit
Risk Scorecards, 2006, where 0.1 is a small shift, 0.25 one to act on. Of two samples of the same
distribution, PSI / (1/n + 1/m) is distributed as chi-squared with bins - 1 degrees of freedom:
B. Yurdakul, Statistical Properties of Population Stability Index, 2018.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log

from bentos.drift import reference
from bentos.drift.reference import Expected
from bentos.drift.sketches import Count, Numbers, Texts
from bentos.serving.drift import Bin, ColumnDrift

FEWEST_ROWS = 500  # of either side; of fewer, chance alone makes a shift
MOST_TEXTS = 20  # that have a bin of their own; more bins need more rows
OTHERS, MISSING = "others", "missing"


def found(expected: Expected, rows: int, count: Count) -> ColumnDrift | None:
    """A column beside its reference, which is of so many rows; None where its kind is another."""
    made = bins(expected, count)
    if made is None or not count.rows:
        return None
    enough = min(rows, count.rows) >= FEWEST_ROWS
    return ColumnDrift(
        psi=psi(made, rows, count.rows) if enough else None,
        missing=count.missing / count.rows,
        unknown=_unknown(expected, count),
        outside=count.outside / count.rows if isinstance(expected, reference.Numbers) else None,
        bins=made,
    )


def bins(expected: Expected, count: Count) -> tuple[Bin, ...] | None:
    """The shares of all rows: by the reference's bins, then of the missing, if there are any."""
    if isinstance(expected, reference.Numbers) and isinstance(count, Numbers):
        labels, usual = _labels(expected.edges), expected.shares
        here = count.shares(expected.edges)
    elif isinstance(expected, reference.Texts) and isinstance(count, Texts):
        labels = sorted(expected.shares, key=lambda text: -expected.shares[text])[:MOST_TEXTS]
        usual = (*_and_others([expected.shares[text] for text in labels]),)
        here = _and_others([count.share(text) for text in labels])
        labels.append(OTHERS)
    else:
        return None
    missing = count.missing / count.rows if count.rows else 0.0
    there, present = 1 - expected.missing, 1 - missing
    made = [
        Bin(label, there * share, present * other)
        for label, share, other in zip(labels, usual, here, strict=True)
    ]
    if expected.missing or missing:
        made.append(Bin(MISSING, expected.missing, missing))
    return tuple(made)


def psi(bins: Sequence[Bin], rows: int, counted: int) -> float:
    """The index of bins of a reference of so many rows and of so many that were counted.

    Half a row more in each bin keeps an empty one from making it infinite.
    """
    few, fewer = 0.5 / rows, 0.5 / counted
    whole, counts = 1 + few * len(bins), 1 + fewer * len(bins)
    total = 0.0
    for each in bins:
        usual, here = (each.expected + few) / whole, (each.observed + fewer) / counts
        total += (here - usual) * log(here / usual)
    return total


def _unknown(expected: Expected, count: Count) -> float | None:
    """The share of the rows whose text the reference has not."""
    if not (isinstance(expected, reference.Texts) and isinstance(count, Texts) and expected.whole):
        return None
    if not count.sketch.total_weight:
        return 0.0
    known = sum(count.share(text) for text in expected.shares)
    return max(0.0, 1 - known) * (1 - count.missing / count.rows)


def _and_others(shares: list[float]) -> list[float]:
    return [*shares, max(0.0, 1 - sum(shares))]


def _labels(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["any"]
    shown = [f"{edge:.6g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(shown)]
    return [f"up to {shown[0]}", *between, f"above {shown[-1]}"]
