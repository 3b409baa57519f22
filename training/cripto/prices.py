"""Daily prices: two forms of table, from CSV or parquet, become one that is clean."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from training.data import Dataset, numbers, parse, read_dataset
from training.errors import InputError

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "date", *PRICES, "volume")
SYMBOL = re.compile(r"[^\s/\\.][^\s/\\]{0,31}")  # it names a folder in the store


@dataclass(frozen=True)
class Form:
    """Columns as a source names them, by our names."""

    columns: Mapping[str, str]
    ends_amid_a_day: bool


def _form(symbol: str, date: str, volume: str, ends_amid_a_day: bool) -> Form:
    columns = {"symbol": symbol, "date": date, **{p: p for p in PRICES}, "volume": volume}
    return Form(columns, ends_amid_a_day)


FORMS = (
    # CryptoCompare's daily history: its last day is the one that is still running.
    # https://min-api.cryptocompare.com/documentation?key=Historical&cat=dataHistoday
    _form("symbol", "datetime", "volumefrom", ends_amid_a_day=True),
    _form("Symbol", "Date", "volume", ends_amid_a_day=False),
)


SYMBOLS = tuple(form.columns["symbol"] for form in FORMS)


@dataclass(frozen=True)
class Prices:
    """`table` has COLUMNS: one row a symbol and day (midnight UTC), in that order.

    Of the `rows` that were read, the other numbers were dropped.
    """

    source: str
    table: pd.DataFrame
    rows: int
    unpriced: int
    unfinished: int
    repeated: int

    def described(self) -> str:
        """One line for a person."""
        return (
            f"{self.source}: {self.rows} rows, {len(self.table)} kept; dropped "
            f"{self.unpriced} with a price of 0 or none, {self.unfinished} of a day that was not "
            f"over, {self.repeated} repeated."
        )


def read(location: str) -> Prices:
    """Read a path or an `s3://bucket/key`.

    Raises `InputError` when it is not readable, in neither form, or has no usable row.
    """
    prices = clean(read_dataset(location, text=SYMBOLS))
    if prices.table.empty:
        raise InputError(f"{prices.described()} Nothing is left.")
    return prices


def decode(source: str, content: bytes) -> Prices:
    """Clean the bytes of a file; its name's ending tells CSV from parquet.

    Raises `InputError` as `clean` does.
    """
    return clean(Dataset(source, source, "", parse(source, content, SYMBOLS)))


def clean(dataset: Dataset, now: datetime | None = None) -> Prices:
    """Bring a table of either form to one.

    Drops rows without all four prices, and those of a day that was not over: today's in UTC, and
    the last of a source that ends amid a day. Of a repeated day, the last row stays.
    Raises `InputError` naming a missing column, or a value that is no date, symbol or number.
    """
    form = _form_of(dataset)
    theirs = form.columns
    table = pd.DataFrame(
        {"symbol": _symbols(dataset, theirs["symbol"]), "date": _dates(dataset, theirs["date"])}
        | {ours: numbers(dataset, theirs[ours]) for ours in (*PRICES, "volume")}
    )
    running = pd.Timestamp(now or datetime.now(UTC)).tz_localize(None).normalize()
    if form.ends_amid_a_day:
        running = min(running, table["date"].max())
    priced = (table[list(PRICES)] > 0).all(axis=1) & (table[list(PRICES)] < np.inf).all(axis=1)
    over = table["date"] < running
    kept = combine([table[priced & over]])
    return Prices(
        source=dataset.source,
        table=kept,
        rows=len(table),
        unpriced=int((~priced).sum()),
        unfinished=int((priced & ~over).sum()),
        repeated=int((priced & over).sum()) - len(kept),
    )


def combine(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """One table of several; where two have the same symbol and day, the later table's row."""
    whole = pd.concat(list(tables), ignore_index=True)
    whole = whole.drop_duplicates(["symbol", "date"], keep="last")
    return whole.sort_values(["symbol", "date"], ignore_index=True)


def empty() -> pd.DataFrame:
    """A table without rows."""
    kinds = {"symbol": "str", "date": "datetime64[us]"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "float64")) for name in COLUMNS})


def to_csv(table: pd.DataFrame) -> bytes:
    """Write a table in the comma-separated form, the same rows always as the same bytes."""
    columns = {
        "Date": table["date"].dt.strftime("%Y-%m-%d"),
        **{name: table[name] for name in (*PRICES, "volume")},
        "Name": table["symbol"],
        "Symbol": table["symbol"],
        "Marketcap": "",
    }
    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n").encode()


def _form_of(dataset: Dataset) -> Form:
    missing = [
        [name for name in form.columns.values() if name not in dataset.table.columns]
        for form in FORMS
    ]
    form, lacks = min(zip(FORMS, missing, strict=True), key=lambda pair: len(pair[1]))
    if lacks:
        found = ", ".join(map(str, dataset.table.columns))
        raise InputError(f"{dataset.source} has no column {', '.join(lacks)}; it has: {found}.")
    return form


def _symbols(dataset: Dataset, column: str) -> "pd.Series[str]":
    values = dataset.table[column]
    symbols = values.astype(str).str.strip().str.upper()
    bad = values.isna() | ~symbols.str.fullmatch(SYMBOL)
    if bad.any():
        raise InputError(
            f"{dataset.source}: column {column} has '{values[bad].iloc[0]}', which is no symbol."
        )
    return symbols


def _dates(dataset: Dataset, column: str) -> "pd.Series[pd.Timestamp]":
    values = dataset.table[column]
    if values.dtype.kind in "iufb":  # would be taken for nanoseconds since 1970
        values = values.astype(str) + " as a number"
    dates = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    bad = dates.isna()
    if bad.any():
        raise InputError(
            f"{dataset.source}: column {column} has '{values[bad].iloc[0]}', which is no date."
        )
    return dates.dt.tz_localize(None).dt.normalize().astype("datetime64[us]")
