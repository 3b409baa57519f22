from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.training.itransformer.read import from_rows
from training.errors import InputError
from training.itransformer.frames import marks, same_step

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


def dated(dates: list[str]) -> Rows:
    return [{"date": date, "OT": float(at)} for at, date in enumerate(dates)]


def every(months: int, day: int, count: int = 12) -> list[str]:
    counted = [divmod(months * at, 12) for at in range(count)]
    return [f"{2001 + year}-{month + 1:02d}-{day}" for year, month in counted]


@pytest.mark.parametrize(
    ("dates", "step", "following"),
    [
        (every(1, 15), "MS", ["2002-01-15", "2002-02-15"]),
        (every(3, 15), "3MS", ["2004-01-15", "2004-04-15"]),
        (every(12, 15), "12MS", ["2013-01-15", "2014-01-15"]),
        (["2023-01-30", "2023-02-28", "2023-03-30"], "MS", ["2023-04-30", "2023-05-30"]),
        (["2019-02-28", "2020-02-29", "2021-02-28"], "YE-FEB", ["2022-02-28", "2023-02-28"]),
        (["2020-03-31", "2020-06-30", "2020-09-30"], "QE-DEC", ["2020-12-31", "2021-03-31"]),
        (["2020-01-01", "2021-01-01", "2022-01-01"], "YS-JAN", ["2023-01-01", "2024-01-01"]),
    ],
)
def test_months_and_years_keep_their_day(
    dates: list[str], step: str, following: list[str]
) -> None:
    series = from_rows(dated(dates))
    assert (series.step, [str(date)[:10] for date in series.next_dates(2)]) == (step, following)
    assert same_step(series.step, step)


def test_a_long_step_that_jitters_can_be_gone_on_with() -> None:
    series = from_rows(
        dated(["2024-01-01", "2024-01-15", "2024-01-29", "2024-02-12 01:00", "2024-02-26"])
    )
    assert series.step == "1209600s"
    assert str(series.next_dates(1)[0]) == "2024-03-11 00:00:00"
    assert same_step("1.2096e+06s", series.step)  # as it was written before


def test_the_calendar_may_end() -> None:
    series = from_rows(dated([f"{year}-07-15" for year in range(9990, 9999)]))
    assert len(series.next_dates(1)) == 1
    with pytest.raises(InputError, match=r"ends at 9998-07-15 .* no date 3 steps of 12MS later"):
        series.next_dates(3)


@pytest.mark.parametrize(
    ("start", "step", "following"),
    [
        ("2024-03-31", "h", ["2024-03-31 09:00:00+02:00", "2024-03-31 10:00:00+02:00"]),
        ("2024-10-27", "h", ["2024-10-27 07:00:00+01:00", "2024-10-27 08:00:00+01:00"]),
        ("2024-03-28", "D", ["2024-04-05 00:00:00+02:00", "2024-04-06 00:00:00+02:00"]),
        ("2024-10-24", "D", ["2024-11-01 00:00:00+01:00", "2024-11-02 00:00:00+01:00"]),
        ("2024-06-01", "MS", ["2025-02-01 00:00:00+01:00", "2025-03-01 00:00:00+01:00"]),
    ],
)
def test_rows_across_the_change_of_summer_time(
    start: str, step: str, following: list[str]
) -> None:
    """Hours are instants, days and months are the calendar's; the answer has the last offset."""
    zoned = pd.date_range(start, periods=8, freq=step, tz="Europe/Madrid")
    series = from_rows(dated([date.isoformat() for date in zoned]))
    assert series.step == step
    assert [str(date) for date in series.next_dates(2)] == following
    midnight = series.rows()[:, -4] == -0.5
    assert midnight.all() if step != "h" else midnight.sum() <= 1


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
        (
            changed(3, date="2024-01-31T03:00:00Z"),
            "row 1, column date: '.*' tells no offset: send",
        ),
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
