"""A release that answers otherwise is found, and neither chance nor other questions take one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentos.drift.shift import shifted
from bentos.drift.tally import Tally
from tests.drift.counts import tally

RANDOM = np.random.default_rng(0)


def answered(rows: int = 2000, asked: float = 0.0, by: float = 0.0, **more: Any) -> Tally:
    """So many rows, around `asked`, with answers that are greater by something."""
    x = RANDOM.normal(asked, size=rows)
    return tally(x=x, y=x + by, **more)


@pytest.mark.parametrize(
    ("both", "found"),
    [
        (lambda: (answered(), answered()), False),
        (lambda: (answered(by=1.0), answered()), True),
        (lambda: (answered(by=0.2), answered()), False),  # a small shift is none
        (lambda: (answered(by=1.0, asked=1.0), answered()), False),  # others ask
        (lambda: (answered(499, by=1.0), answered()), False),  # too few
        (lambda: (answered(by=1.0), answered(499)), False),
        (lambda: (answered(600, by=1.0), answered(600)), True),
        (lambda: (tally(x=[1.0] * 600), answered()), False),  # no answers that compare
        (lambda: (tally(y=["a"] * 600), tally(y=["a", "b"] * 600)), True),
        (lambda: (tally(y=["a", "b"] * 600), tally(y=[0.0, 1.0] * 600)), False),  # of another kind
        (lambda: (tally(y=[0.0] * 600), tally(y=[0.0] * 600)), False),
        (lambda: (tally(y=[np.nan] * 300 + [0.0] * 300), tally(y=[0.0] * 600)), True),
    ],
)
def test_what_counts_as_shifted(both: Callable[[], tuple[Tally, Tally]], found: bool) -> None:
    assert bool(shifted(*both())) == found


def test_what_is_said_has_the_figures() -> None:
    said = shifted(answered(1000, by=2.0), answered(3000))
    assert said.startswith("'y' of the answers is distributed otherwise: PSI ")
    assert said.endswith("over 1000 rows, beside 3000 of the release before; what is asked is not")


def test_chance_takes_nothing_back() -> None:
    old = answered(600)
    assert not any(shifted(answered(500), old) for _ in range(200))
