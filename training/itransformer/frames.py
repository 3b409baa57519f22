"""Tables of dated rows: what may be learned from and forecast from, and the marks of time.

Raises `InputError` for what cannot be used; the message names the column, the row (counted from
1) and what to do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

from training.data import Dataset, numbers
from training.errors import InputError

DATE = "date"
pd.set_option("future.infer_freq_returns_offset", True)  # it warns until this is set
MONTHS = re.compile(r"\d*MS")
JITTER = 0.1  # of the step: how far two dates may be from one step apart

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """`values` (rows, columns), all finite, at `dates` that are one `step` apart.

    `step` is a pandas offset: "h", "15min", "D", "MS", or seconds such as "90s". "3MS" is every
    three months, on whatever day the dates have.
    """

    source: str
    dates: pd.DatetimeIndex
    values: Floats
    columns: tuple[str, ...]
    step: str

    def __len__(self) -> int:
        return len(self.values)

    def rows(self) -> Floats:
        """Values and marks side by side: float64 (rows, columns + 4)."""
        return np.concatenate([self.values, marks(self.dates)], axis=1)

    def part(self, start: int, end: int) -> "Series":
        """Give the rows from one place up to another."""
        dates, values = self.dates[start:end], self.values[start:end]
        return Series(self.source, dates, values, self.columns, self.step)

    def ordered(self, columns: Sequence[str]) -> "Series":
        """Put the columns in a model's order. Raises `InputError` when they are others."""
        if set(columns) != set(self.columns):
            raise InputError(
                f"{self.source} has the columns {', '.join(self.columns)}; "
                f"the model's are {', '.join(columns)}."
            )
        values = self.values[:, [self.columns.index(column) for column in columns]]
        return Series(self.source, self.dates, values, tuple(columns), self.step)

    def window(self, columns: Sequence[str], seq_len: int) -> Floats:
        """Give the last `seq_len` rows as a model takes them: (seq_len, columns + 4)."""
        if len(self) < seq_len:
            raise InputError(
                f"{self.source} has {len(self)} rows; a forecast needs at least {seq_len}."
            )
        return self.ordered(columns).rows()[-seq_len:]

    def next_dates(self, points: int) -> pd.DatetimeIndex:
        """Give the dates of the steps that follow the last row.

        Raises `InputError` where the calendar ends before them.
        """
        try:
            if MONTHS.fullmatch(self.step) and (months := _months(self.dates)):
                day = int(self.dates.day.max())
                return months_from(self.dates[-1], day, months, points + 1)[1:]
            return pd.date_range(self.dates[-1], periods=points + 1, freq=self.step)[1:]
        except (OverflowError, ValueError) as error:  # pandas' own errors derive from it
            raise InputError(
                f"{self.source} ends at {self.dates[-1]}: there is no date {points} steps of "
                f"{self.step} later."
            ) from error


def from_dataset(dataset: Dataset) -> Series:
    """Check a table of the column `date` and columns of numbers."""
    table, source = dataset.table, dataset.source
    columns = [column for column in table.columns if column != DATE]
    if DATE not in table.columns or not columns:
        found = ", ".join(map(str, table.columns)) or "none"
        raise InputError(f"{source} needs the column {DATE} and one of numbers; it has: {found}.")
    dates = read_dates(table[DATE], source)
    values = np.column_stack([finite(dataset, column) for column in columns])
    return Series(source, dates, values, tuple(map(str, columns)), step_of(dates, source))


def marks(dates: pd.DatetimeIndex) -> Floats:
    """Hour, weekday, day of the month and of the year, each from -0.5 to 0.5: (rows, 4)."""
    return np.column_stack(
        [
            dates.hour / 23 - 0.5,
            dates.day_of_week / 6 - 0.5,
            (dates.day - 1) / 30 - 0.5,
            (dates.day_of_year - 1) / 365 - 0.5,
        ]
    )


def same_step(one: str, other: str) -> bool:
    """Whether two steps are as long as each other, give or take what the dates may jitter."""
    plain = (format(float(s[:-1]), "f") + "s" if "e+" in s else s for s in (one, other))  # 1e+06s
    a, b = (pd.date_range("2001-01-01", periods=2, freq=step) for step in plain)
    first, second = (index[1] - index[0] for index in (a, b))
    return bool(abs(first - second) <= JITTER * max(first, second))


def read_dates(column: "pd.Series[Any]", source: str) -> pd.DatetimeIndex:
    """Read text as ISO 8601; numbers could be counted from anywhere, so they are no dates."""
    text = column.map(lambda value: value if isinstance(value, str) else "")
    parsed = column if column.dtype.kind == "M" else _parsed(text, source)
    if parsed.isna().any():
        where = _at(column, int(parsed.isna().to_numpy().argmax()))
        raise InputError(f"{source}: {where} is no date like 2024-01-31 23:00:00.")
    return pd.DatetimeIndex(parsed)


def _parsed(column: "pd.Series[Any]", source: str) -> "pd.Series[Any]":
    try:
        return pd.to_datetime(column, format="ISO8601", errors="coerce")
    except ValueError:  # not all rows tell the same offset, as across summer time
        instants = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    return instants if instants.isna().any() else _in_last_offset(column, instants, source)


def _in_last_offset(
    column: "pd.Series[Any]", instants: "pd.Series[Any]", source: str
) -> "pd.Series[Any]":
    """Instants of several offsets in the last row's; days and months as each row tells them."""
    offsets: list[timedelta] = []
    for row, text in enumerate(column):
        offset = pd.Timestamp(text).utcoffset()
        if offset is None:
            raise InputError(
                f"{source}: the dates are not all of one time zone: {_at(column, row)} tells no "
                "offset: send it with all dates, or with none."
            )
        offsets.append(offset)
    zone = timezone(offsets[-1])
    local = pd.DatetimeIndex(instants.dt.tz_localize(None) + pd.to_timedelta(offsets))
    days = len(local) > 2 and local.to_series().diff().min() >= pd.Timedelta(days=1)
    if days and (pd.infer_freq(local) or _months(local)):
        return pd.Series(local.tz_localize(zone), instants.index)
    moved: pd.Series[Any] = instants.dt.tz_convert(zone)
    return moved


def finite(dataset: Dataset, column: str) -> Floats:
    """Give a column of finite numbers as float64."""
    given = dataset.table[column]
    if (bad := given.map(lambda value: isinstance(value, bool))).any():
        where = _at(given, int(bad.to_numpy().argmax()))
        raise InputError(f"{dataset.source}: {where} is no number.")
    try:
        values = numbers(dataset, column)
    except OverflowError as error:
        raise InputError(f"{dataset.source}, column {column}: {error}.") from error
    if not (good := np.isfinite(values)).all():
        where = _at(given, int((~good).argmax()))
        raise InputError(
            f"{dataset.source}: {where} is no finite number: fill it or leave the column out."
        )
    return values


def step_of(dates: pd.DatetimeIndex, source: str) -> str:
    """Infer the step, which all dates must keep."""
    if len(dates) < 3:
        raise InputError(f"{source} has {len(dates)} rows; it takes 3 to tell the step of dates.")
    gaps = (dates[1:] - dates[:-1]).to_series().reset_index(drop=True)
    refuse_disorder(dates, source)
    if step := pd.infer_freq(dates):
        return to_offset(step).freqstr
    if months := _months(dates):
        return f"{months}MS" if months > 1 else "MS"
    usual = gaps.mode().iloc[0]
    if (uneven := (gaps - usual).abs() > JITTER * usual).any():
        row = int(uneven.to_numpy().argmax()) + 1
        raise InputError(
            f"{source}: row {row + 1}, of {dates[row]}, comes {gaps[row - 1]} after the row "
            f"before, but the step is {usual}: rows must be evenly spaced, without gaps."
        )
    return f"{usual.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"


def _months(dates: pd.DatetimeIndex) -> int:
    """Months from each date to the next, on one day or the last before it; 0 for other dates."""
    between = np.diff(12 * dates.year + dates.month)
    day = np.minimum(dates.day.max(), dates.days_in_month)
    times = dates.tz_localize(None) - dates.tz_localize(None).normalize()
    if len(dates) < 3 or (between != between[0]).any() or (dates.day != day).any():
        return 0
    return max(int(between[0]), 0) if times.nunique() == 1 else 0


def months_from(first: pd.Timestamp, day: int, months: int, count: int) -> pd.DatetimeIndex:
    """Give dates that many months apart from `first` on, each on that day or its month's last."""
    firsts = [first.replace(day=1) + pd.DateOffset(months=months * n) for n in range(count)]
    return pd.DatetimeIndex([date.replace(day=min(day, date.days_in_month)) for date in firsts])


def refuse_disorder(dates: pd.DatetimeIndex, source: str) -> None:
    """Raise `InputError` where a date is not later than the one before."""
    wrong = np.asarray(dates[1:] <= dates[:-1])
    if wrong.any():
        row = int(wrong.argmax()) + 1
        kind = "repeats" if dates[row] == dates[row - 1] else "goes back from"
        raise InputError(
            f"{source}: row {row + 1}, of {dates[row]}, {kind} the row before, of "
            f"{dates[row - 1]}: sort the rows, one for each date."
        )


def _at(column: "pd.Series[Any]", row: int) -> str:
    return f"row {row + 1}, column {column.name}: '{column.iloc[row]}'"
