from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.errors import InputError
from training.itransformer.frames import from_rows, marks, same_step

Rows = list[dict[str, Any]]


def rows(step: str = "h", count: int = 30, start: str = "2024-01-31") -> Rows:
    """Two columns at regular dates."""
    dates = pd.date_range(start, periods=count, freq=step)
    return [{"date": str(date), "OT": i * 0.5, "HU": i % 7} for i, date in enumerate(dates)]


def changed(row: int, **cells: Any) -> Rows:
    made = rows()
    made[row] |= cells
    return made


def test_values_keep_their_columns_and_order() -> None:
    series = from_rows(rows())
    assert series.columns == ("OT", "HU")
    assert series.values.dtype == np.float64
    assert series.values[3].tolist() == [1.5, 3.0]
    assert len(series) == 30


@pytest.mark.parametrize(
    ("step", "following"),
    [
        ("h", ["2024-02-01 06:00:00", "2024-02-01 07:00:00"]),
        ("15min", ["2024-01-31 07:30:00", "2024-01-31 07:45:00"]),
        ("90s", ["2024-01-31 00:45:00", "2024-01-31 00:46:30"]),
        ("D", ["2024-03-01 00:00:00", "2024-03-02 00:00:00"]),
        ("B", ["2024-03-13 00:00:00", "2024-03-14 00:00:00"]),
        ("W-SUN", ["2024-09-01 00:00:00", "2024-09-08 00:00:00"]),
        ("MS", ["2026-08-01 00:00:00", "2026-09-01 00:00:00"]),
        ("ME", ["2026-07-31 00:00:00", "2026-08-31 00:00:00"]),
    ],
)
def test_the_step_is_inferred(step: str, following: list[str]) -> None:
    series = from_rows(rows(step))
    assert series.step == step
    assert [str(date) for date in series.next_dates(2)] == following


def test_dates_may_jitter() -> None:
    series = from_rows(changed(4, date="2024-01-31 04:02:00"))
    assert series.step == "3600s"
    assert str(series.next_dates(1)[0]) == "2024-02-01 06:00:00"


def test_dates_may_tell_their_time_zone() -> None:
    zoned = [row | {"date": f"{row['date']}-05:00"} for row in rows()]
    assert str(from_rows(zoned).next_dates(1)[0]) == "2024-02-01 06:00:00-05:00"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "data needs the column date and one of numbers; it has: none"),
        ([{"OT": 1.0}], "data needs the column date and one of numbers; it has: OT"),
        ([{"date": "2024-01-01"}], "it has: date"),
        (rows()[:2], "data has 2 rows; it takes 3 to tell the step of dates"),
        (changed(2, OT="mucho"), "column OT has 'mucho', which is no number"),
        (changed(2, OT=[1]), r"column OT has '\[1\]', which is no number"),
        (changed(2, OT=True), "row 3, column OT: 'True' is no number"),
        (changed(2, HU=None), "row 3, column HU: 'nan' is no finite number"),
        (changed(2, HU=float("inf")), "row 3, column HU: 'inf' is no finite number"),
        (changed(2, HU=10**400), "column HU: int too large to convert to float"),
        ([row | {"OT": False} for row in rows()], "row 1, column OT: 'False' is no number"),
        (changed(3, date="ayer"), "row 4, column date: 'ayer' is no date like 2024-01-31"),
        (changed(3, date="31/12/2024"), "row 4, column date: '31/12/2024' is no date"),
        (changed(3, date=1706700000), "row 4, column date: '1706700000' is no date"),
        (changed(3, date=None), "row 4, column date: '(None|nan)' is no date"),
        (changed(3, date="2024-01-31T03:00:00Z"), "the dates are not all of one time zone"),
        (changed(3, date="2024-01-31 02:00:00"), "row 4, of .* 02:00:00, repeats the row before"),
        (changed(3, date="2024-01-31 01:00:00"), "row 4, of .* 01:00:00, goes back from the row"),
        (
            rows()[:9] + rows()[12:],
            "row 10, .* 0 days 04:00:00 after .*, but the step is 0 days 01",
        ),
    ],
)
def test_what_cannot_be_used_is_named(bad: Rows, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_rows(bad)


def test_marks_tell_where_in_day_week_month_and_year() -> None:
    dates = pd.DatetimeIndex(["2024-01-01 00:00", "2024-12-31 23:00", "2023-07-02 12:00"])
    expected = [
        [-0.5, -0.5, -0.5, -0.5],  # a Monday
        [0.5, 1 / 6 - 0.5, 0.5, 0.5],
        [12 / 23 - 0.5, 0.5, 1 / 30 - 0.5, 182 / 365 - 0.5],
    ]
    np.testing.assert_allclose(marks(dates), expected)


def test_a_window_has_the_models_columns_and_marks() -> None:
    series = from_rows(rows())
    window = series.window(["HU", "OT"], seq_len=10)
    assert window.shape == (10, 6)
    np.testing.assert_array_equal(window[:, :2], series.values[-10:, ::-1])
    np.testing.assert_array_equal(window[:, 2:], marks(series.dates[-10:]))


def test_a_window_needs_rows_and_columns() -> None:
    series = from_rows(rows())
    with pytest.raises(InputError, match="data has 30 rows; a forecast needs at least 96"):
        series.window(["OT", "HU"], seq_len=96)
    with pytest.raises(InputError, match="data has the columns OT, HU; the model's are OT, CO"):
        series.window(["OT", "CO"], seq_len=10)


def test_steps_may_differ_by_the_jitter() -> None:
    assert same_step("h", "3607s")
    assert same_step("60min", "h")
    assert not same_step("h", "D")
    assert not same_step("15min", "h")
