"""What is asked of the release before, and what not."""

from typing import Any

import numpy as np
import pytest

from bentos.promotion.opinions import CALLS, Opinions
from bentos.serving.disputed import MOST_ROWS
from bentos.serving.failures import Failing
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import WatchSettings
from bentos.tensors import Batch, Column, Schema
from tests.memory import numbers_slot, release


@pytest.fixture
def slot() -> Slot[float, float]:
    """A release that refuses has just taken the place of one that answers."""
    slot = numbers_slot()
    for version in ("1", "2"):
        slot.swap(release(version))
    return slot


def refused(slot: Slot[float, float], opinions: Opinions, calls: int, rows: int = 1) -> Any:
    """What is known after so many refused calls."""
    live = slot.live
    assert live
    for _ in range(calls):
        live.disputed.add([1.0] * rows, None)
    opinions.look()
    return live.disputed.asked, live.disputed.taken


def test_a_few_calls_a_look_are_asked(slot: Slot[float, float]) -> None:
    opinions = Opinions(lambda: [slot], WatchSettings())
    assert refused(slot, opinions, 1) == (0, 0), "nothing is held before anybody asks"
    assert refused(slot, opinions, 100) == (CALLS, CALLS)
    assert refused(slot, opinions, 1) == (CALLS + 1, CALLS + 1)
    assert refused(slot, opinions, 1, MOST_ROWS + 1) == (CALLS + 1, CALLS + 1)


def test_a_release_whose_process_fails_is_asked_once(slot: Slot[float, float]) -> None:
    def run(*given: object) -> list[float]:
        raise Failing("crash", "its process ended with SIGABRT")

    opinions = Opinions(lambda: [slot], WatchSettings())
    opinions.look()
    answers, slot.run = slot.run, run
    assert refused(slot, opinions, 1) == (0, 0)
    slot.run = answers
    assert refused(slot, opinions, 1) == (0, 0)


def test_after_the_probation_nothing_is_asked(slot: Slot[float, float]) -> None:
    opinions = Opinions(lambda: [slot], WatchSettings(seconds=0))
    opinions.look()
    assert refused(slot, opinions, 1) == (0, 0)


def test_rows_go_to_another_release_by_their_columns() -> None:
    x, n = Column("x", "float64"), Column("n", "int64")
    rows = Table(Batch({"x": np.ones(2), "n": np.zeros(2, np.int64)}), Schema((x, n)), True)
    other = Schema((n,), source="example")
    given = rows.by(other)
    assert (given.schema, given.batch.names, given.probable) == (other, ("n",), False)
    for strange in (Column("y", "float64"), Column("x", "string")):
        with pytest.raises(ValueError, match="the rows have no column"):
            rows.by(Schema((strange,)))
