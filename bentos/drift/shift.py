"""Whether a release answers otherwise than the one before it, although it is asked alike.

The answers of the one before are of the time before: so what is asked must not have shifted.
"""

from bentos.drift.psi import FEWEST_ROWS, bins, psi
from bentos.drift.sketches import Count
from bentos.drift.tally import Side, Tally

CHANCE = 0.001  # the probability that answers which are distributed alike are taken for shifted
SHIFTED = 0.25  # a PSI up to which answers may shift
ASKED_ALIKE = 0.1  # and one up to which questions may


def shifted(new: Tally, old: Tally) -> str:
    """Which answers shifted, and how far; else nothing.

    Tested by the distribution of the PSI, see `bentos.drift.psi`, over all columns of the answers.
    """
    if min(new.rows, old.rows) < FEWEST_ROWS:
        return ""
    found = {name: _shift(new, old, "outputs", name) for name in _both(new, old, "outputs")}
    worst = max(found, key=lambda name: found[name][0], default=None)
    if worst is None or found[worst][0] <= SHIFTED or found[worst][1] >= CHANCE / len(found):
        return ""
    if any(
        _shift(new, old, "inputs", name)[0] > ASKED_ALIKE for name in _both(new, old, "inputs")
    ):
        return ""
    return (
        f"{worst!r} of the answers is distributed otherwise: PSI {found[worst][0]:.3g} over "
        f"{new.rows} rows, beside {old.rows} of the release before; what is asked is not"
    )


def _both(new: Tally, old: Tally, side: Side) -> list[str]:
    return [name for name in new.sides[side] if name in old.sides[side]]


def _shift(new: Tally, old: Tally, side: Side, name: str) -> tuple[float, float]:
    """The PSI of a column, and how probable one as great is by chance."""
    now, before = new.sides[side][name], old.sides[side][name]
    return _tested(now, before) if min(now.rows, before.rows) >= FEWEST_ROWS else (0.0, 1.0)


def _tested(now: Count, before: Count) -> tuple[float, float]:
    usual = before.expected()
    made = bins(usual, now) if usual else None
    if not made or len(made) < 2:
        return 0.0, 1.0
    from scipy.stats import chi2

    index = psi(made, before.rows, now.rows)
    return index, float(chi2.sf(index / (1 / before.rows + 1 / now.rows), len(made) - 1))
