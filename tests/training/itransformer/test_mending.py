"""Rows that are sorted and filled where that was asked for, and those that cannot be."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.training.itransformer.read import from_rows
from tests.training.itransformer.test_frames import Rows, changed, dated, every, rows
from training.errors import InputError
from training.itransformer.frames import Series, from_dataset
from training.itransformer.mending import LONGEST, Mended, mend_rows


def mended(given: Rows, sort: bool = False, fill: bool = False) -> tuple[Series, Mended]:
    done = mend_rows(given, sort, fill)
    return from_dataset(done.dataset), done


def equal(one: Series, other: Series) -> None:
    assert one.step == other.step
    assert list(one.dates) == list(other.dates)
    np.testing.assert_allclose(one.values, other.values)


def test_nothing_is_mended_unasked() -> None:
    series, done = mended(rows())
    equal(series, from_rows(rows()))
    assert (done.was_sorted, done.filled) == (None, None)


def test_rows_are_sorted_by_their_dates() -> None:
    order = np.random.default_rng(1).permutation(30)
    shuffled = [rows()[at] for at in order]
    series, done = mended(shuffled, sort=True)
    equal(series, from_rows(rows()))
    assert (done.was_sorted, done.filled) == (True, None)
    assert mended(rows(), sort=True)[1].was_sorted is False
    with pytest.raises(InputError, match="repeats the row before"):
        mended([*shuffled, shuffled[3]], sort=True)


def test_sorted_rows_may_cross_the_change_of_summer_time() -> None:
    zoned = pd.date_range("2024-10-27", periods=8, freq="h", tz="Europe/Madrid")
    given = dated([date.isoformat() for date in zoned])
    equal(mended(given[::-1], sort=True)[0], from_rows(given))


def test_a_line_is_drawn_over_a_gap() -> None:
    given = changed(4, OT=None, HU="NaN")
    given[5]["OT"] = float("nan")
    del given[7]  # a row that is missing
    series, done = mended(given, fill=True)
    whole = from_rows(rows())
    assert list(series.dates) == list(whole.dates)
    np.testing.assert_allclose(series.values[:, 0], whole.values[:, 0])  # which is a line
    assert series.values[4, 1] == (3 + 5) / 2
    assert series.values[7, 1] == (6 + 1) / 2
    assert done.filled == {"OT": 3, "HU": 2}
    assert mended(rows(), fill=True)[1].filled == {"OT": 0, "HU": 0}


def test_both_may_be_asked_for() -> None:
    given = rows()[:9] + rows()[11:]
    series, done = mended(given[::-1], sort=True, fill=True)
    assert len(series) == 30
    assert (done.was_sorted, done.filled) == (True, {"OT": 2, "HU": 2})
    with pytest.raises(InputError, match="goes back from the row before"):
        mended(given[::-1], fill=True)


@pytest.mark.parametrize("step", ["15min", "D", "B", "W-SUN", "MS", "ME", "QE-DEC", "90s"])
def test_missing_rows_keep_the_calendar(step: str) -> None:
    whole = rows(step)
    series, done = mended(whole[:9] + whole[10:20] + whole[22:], fill=True)
    assert list(series.dates) == list(from_rows(whole).dates)
    assert series.step == from_rows(whole).step
    assert done.filled == {"OT": 3, "HU": 3}
    np.testing.assert_allclose(series.values[:, 0], from_rows(whole).values[:, 0])


def test_months_keep_their_day() -> None:
    whole = dated(every(1, 15, 20))
    equal(mended(whole[:5] + whole[6:], fill=True)[0], from_rows(whole))


def test_dates_that_jitter_are_filled_between() -> None:
    given = changed(4, date="2024-01-31 04:02:00")
    del given[6]
    series, _ = mended(given, fill=True)
    assert len(series) == 30
    assert str(series.dates[6]) == "2024-01-31 06:00:00"


def without(first: int, last: int, count: int = 200) -> Rows:
    return [row for at, row in enumerate(rows(count=count)) if not first <= at <= last]


def blank(*places: int, column: str = "OT", count: int = 30) -> Rows:
    made = rows(count=count)
    for at in places:
        made[at][column] = None
    return made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (blank(0), "column OT has no value at 2024-01-31 00:00:00, its first date"),
        (blank(28, 29, column="HU"), "column HU has no value at 2024-02-01 05:00:00, its last"),
        (blank(*range(30)), "column OT has no value at"),
        (blank(*range(1, 14, 2)), "column OT lacks 7 of 30 values: at most 20% are filled"),
        (without(50, 50 + LONGEST), "column OT lacks 25 values in a row, from 2024-02-02 02:00"),
        (without(20, 180), "row 21, of .* comes 6 days 18:00:00 after the row before, but the"),
        (changed(9, date="2024-01-31 09:30:00"), "row 10, .* rows must be evenly spaced"),
        (changed(2, OT="mucho"), "column OT has 'mucho', which is no number"),
        (changed(2, OT="Infinity"), "row 3, column OT: 'Infinity' is no finite number"),
        (changed(2, OT=True), "row 3, column OT: 'True' is no number"),
        (changed(2, HU=float("inf")), "row 3, column HU: 'inf' is no finite number"),
        (changed(3, date=None), "row 4, column date: '(None|nan)' is no date"),
        (rows()[:2], "data has 2 rows; it takes 3 to tell the step"),
        ([{"date": "2024-01-01"}] * 3, "repeats the row before"),
        ([], "needs the column date"),
        ([{"OT": 1.0}], "needs the column date"),
    ],
)
def test_what_cannot_be_filled_is_named(given: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mended(given, fill=True)


def test_as_many_in_a_row_as_may_be() -> None:
    _, done = mended(without(50, 49 + LONGEST), fill=True)
    assert done.filled == {"OT": LONGEST, "HU": LONGEST}
