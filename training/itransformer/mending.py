"""Rows out of order, or with gaps, mended where their sender asks for it.

A gap is an empty cell, or a row that is missing between two others. Raises `InputError` for what
cannot be mended, as `training.itransformer.frames` does of what cannot be used; rows are counted
after they were sorted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from training.data import Dataset
from training.errors import InputError
from training.itransformer.frames import (
    DATE,
    JITTER,
    Floats,
    finite,
    months_from,
    read_dates,
    refuse_disorder,
    step_of,
)

LONGEST = 24  # values of a column that are made up in a row
MOST = 0.2  # of a column's values
NO_NUMBER = "NaN"  # as Python's json writes it
DAY = pd.Timedelta(days=1)
MONTH = pd.Timedelta(days=28)


@dataclass(frozen=True)
class Mended:
    """A dataset, and what was done to it: None for what nobody asked for.

    `was_sorted` says whether rows changed their places, `filled` how many values of each column
    were made up.
    """

    dataset: Dataset
    was_sorted: bool | None = None
    filled: dict[str, int] | None = None


def mend_rows(rows: Sequence[Mapping[str, Any]], sort: bool, fill: bool) -> Mended:
    """Mend rows as JSON has them, such as `{"date": "2024-01-01 00:00:00", "OT": 12.5}`."""
    return mend(Dataset("data", "data", "", pd.DataFrame(list(rows))), sort, fill)


def mend(dataset: Dataset, sort: bool, fill: bool) -> Mended:
    """Sort the rows by their dates, then fill the gaps between them."""
    was_sorted, filled = None, None
    if sort and DATE in dataset.table:
        dataset, was_sorted = _sorted(dataset)
    if fill and DATE in dataset.table:
        dataset, filled = _filled(dataset)
    return Mended(dataset, was_sorted, filled)


def _sorted(dataset: Dataset) -> tuple[Dataset, bool]:
    dates = read_dates(dataset.table[DATE], dataset.source)
    order = np.argsort(dates, kind="stable")
    table = dataset.table.iloc[order].reset_index(drop=True)
    return replace(dataset, table=table), not dates.is_monotonic_increasing


def _filled(dataset: Dataset) -> tuple[Dataset, dict[str, int]]:
    """Draw a line from the last value before a gap to the first one after it."""
    dates = read_dates(dataset.table[DATE], dataset.source)
    refuse_disorder(dates, dataset.source)
    columns = [column for column in dataset.table.columns if column != DATE]
    given = pd.DataFrame({column: _numbers(dataset, column) for column in columns}).set_axis(dates)
    whole = given.reindex(_whole(dates, dataset.source))
    for column in columns:
        _refuse_wide(whole[column].isna(), str(column), dataset.source)
    table = whole.interpolate(method="linear", limit_area="inside")
    counts = {str(column): int(count) for column, count in whole.isna().sum().items()}
    return replace(dataset, table=table.rename_axis(DATE).reset_index()), counts


def _numbers(dataset: Dataset, column: str) -> Floats:
    """A column as numbers, NaN where a cell is empty."""
    given = dataset.table[column]
    empty = given.isna() | given.map(lambda value: isinstance(value, str) and value == NO_NUMBER)
    table = pd.DataFrame({column: given.where(~empty, 0.0)})
    return np.where(empty, np.nan, finite(replace(dataset, table=table), column))


def _refuse_wide(empty: "pd.Series[bool]", column: str, source: str) -> None:
    """Raise `InputError` for gaps at an end, gaps that are too long, and too many of them."""
    missing = empty.to_numpy()
    for at, end in ((0, "first"), (-1, "last")):
        if missing[at : at + 1 or None].any():
            raise InputError(
                f"{source}: column {column} has no value at {empty.index[at]}, its {end} date: "
                "fill goes from one value to the next: leave out what lies beyond."
            )
    starts = np.flatnonzero(np.diff(missing.astype(int)) == 1) + 1
    lengths = np.flatnonzero(np.diff(missing.astype(int)) == -1) + 1 - starts
    if (lengths > LONGEST).any():
        at = int((lengths > LONGEST).argmax())
        raise InputError(
            f"{source}: column {column} lacks {lengths[at]} values in a row, from "
            f"{empty.index[starts[at]]} on: at most {LONGEST} are filled: send them, or begin "
            "after them."
        )
    if missing.mean() > MOST:
        raise InputError(
            f"{source}: column {column} lacks {missing.sum()} of {len(missing)} values: at most "
            f"{MOST:.0%} are filled: send more of them, or leave the column out."
        )


def _whole(dates: pd.DatetimeIndex, source: str) -> pd.DatetimeIndex:
    """The dates, with those that are missing between them."""
    try:
        step_of(dates, source)
    except InputError:
        if len(dates) < 3:
            raise
    else:
        return dates
    gaps = (dates[1:] - dates[:-1]).to_series().reset_index(drop=True)
    usual = gaps.mode().iloc[0]
    if (far := gaps / usual > 2 * LONGEST).any():
        row = int(far.to_numpy().argmax())
        raise InputError(
            f"{source}: row {row + 2}, of {dates[row + 1]}, comes {gaps[row]} after the row "
            f"before, but the step is {usual}: at most {LONGEST} rows in a row are filled."
        )
    for calendar in (_months(dates, usual), _weekdays(dates, usual)):
        if len(calendar) and dates.isin(calendar).all():
            return calendar
    return _evenly(dates, gaps, usual)


def _evenly(
    dates: pd.DatetimeIndex, gaps: "pd.Series[pd.Timedelta]", usual: pd.Timedelta
) -> pd.DatetimeIndex:
    """As many dates between two of them as there are steps. What is no multiple stays as it is."""
    steps = np.rint(gaps / usual).astype(int)
    even = (gaps - steps * usual).abs() <= JITTER * usual
    made = [
        dates[at] + gaps[at] * (k / steps[at])
        for at in np.flatnonzero(even & (steps > 1)).tolist()
        for k in range(1, steps[at])
    ]
    return pd.DatetimeIndex([*dates, *made]).sort_values()


def _months(dates: pd.DatetimeIndex, usual: pd.Timedelta) -> pd.DatetimeIndex:
    """Months, quarters or years from the first date to the last; empty for shorter steps."""
    if usual < MONTH:
        return dates[:0]
    numbers = 12 * dates.year + dates.month
    months = max(1, int(np.gcd.reduce(np.diff(numbers))))
    count = (numbers[-1] - numbers[0]) // months + 1
    return months_from(dates[0], int(dates.day.max()), months, int(count))


def _weekdays(dates: pd.DatetimeIndex, usual: pd.Timedelta) -> pd.DatetimeIndex:
    """Monday to Friday from the first date to the last; empty for other dates."""
    if usual != DAY or (dates.day_of_week > 4).any():
        return dates[:0]
    return pd.date_range(dates[0], dates[-1], freq="B")
