from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.training.cripto.conftest import MANY, days, real
from training.cripto import prices
from training.data import Dataset, read_dataset
from training.errors import InputError


def test_the_comma_form(commas: Path) -> None:
    read = prices.read(str(commas))
    assert days(read.table) == [("MAD", "2024-05-01", 11.25), ("MAD", "2024-05-02", 9.5)]
    assert list(read.table.columns) == list(prices.COLUMNS)
    first = read.table.iloc[0]
    assert (first["open"], first["high"], first["low"], first["volume"]) == (10.5, 12, 10, 1000.5)
    assert (read.rows, read.unpriced, read.unfinished, read.repeated) == (2, 0, 0, 0)


def test_the_bar_form_ends_amid_a_day(bars: Path) -> None:
    read = prices.read(str(bars))
    assert days(read.table) == [
        ("MAD", "2024-05-02", 9.6),
        ("MAD", "2024-05-03", 10.0),
        ("NIL", "2024-05-03", 2.0),
    ]
    assert read.table["volume"].tolist() == [2100, 1500, 7]
    assert (read.rows, read.unpriced, read.unfinished, read.repeated) == (6, 2, 1, 0)
    assert read.described() == (
        f"{bars}: 6 rows, 3 kept; dropped 2 with a price of 0 or none, 1 of a day that was not "
        "over, 0 repeated."
    )


def test_parquet_of_either_form(commas: Path, bars: Path, tmp_path: Path) -> None:
    for path in (commas, bars):
        parquet = tmp_path / f"{path.stem}.parquet"
        read_dataset(str(path)).table.to_parquet(parquet)
        pd.testing.assert_frame_equal(
            prices.read(str(parquet)).table, prices.read(str(path)).table
        )


def test_today_is_not_over_in_utc(commas: Path) -> None:
    dataset = read_dataset(str(commas))
    late = prices.clean(dataset, datetime(2024, 5, 2, 23, 59, tzinfo=UTC))
    assert days(late.table) == [("MAD", "2024-05-01", 11.25)]
    assert late.unfinished == 1
    assert prices.clean(dataset, datetime(2024, 5, 3, tzinfo=UTC)).unfinished == 0


def test_of_a_repeated_day_the_last_row_stays(commas: Path) -> None:
    commas.write_text(commas.read_text() + "2024-05-01,1,1,1,7.0,1,Made,MAD,\n")
    read = prices.read(str(commas))
    assert days(read.table)[0] == ("MAD", "2024-05-01", 7.0)
    assert read.repeated == 1


@pytest.mark.parametrize("price", ["0", "", "nan", "-1", "inf"])
def test_rows_without_a_price_are_dropped(commas: Path, price: str) -> None:
    commas.write_text(commas.read_text().replace("10.0,11.25", f"{price},11.25"))
    read = prices.read(str(commas))
    assert days(read.table) == [("MAD", "2024-05-02", 9.5)]
    assert read.unpriced == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("volume,", "amount,", "has no column volume; it has: Date, open, high, low, close"),
        ("2024-05-02", "yesterday", "column Date has 'yesterday', which is no date"),
        ("12.0", "dear", "column high has 'dear', which is no number"),
        ("Made,MAD", "Made,../x", r"column Symbol has '../x', which is no symbol"),
        ("Made,MAD", "Made,", "column Symbol has 'nan', which is no symbol"),
    ],
)
def test_what_is_wrong_is_named(commas: Path, old: str, new: str, message: str) -> None:
    assert old in commas.read_text()
    commas.write_text(commas.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        prices.read(str(commas))
    assert str(commas) in str(error.value)
    assert message in str(error.value)


def test_numbers_are_no_dates() -> None:
    table = pd.DataFrame({"Date": [1714694400]} | {name: [1.0] for name in prices.PRICES})
    table = table.assign(volume=1.0, Symbol="MAD")
    with pytest.raises(
        InputError, match="column Date has '1714694400 as a number', which is no date"
    ):
        prices.clean(Dataset("x", "x.csv", "", table))


def test_a_file_of_which_nothing_is_left_is_refused(bars: Path) -> None:
    head, *_, last = bars.read_text().splitlines()
    bars.write_text(f"{head}\n{last}\n")
    with pytest.raises(InputError, match=r"history\.csv: 1 rows, 0 kept.*Nothing is left"):
        prices.read(str(bars))


def test_of_two_tables_the_later_wins(commas: Path, bars: Path) -> None:
    one, other = prices.read(str(commas)).table, prices.read(str(bars)).table
    assert ("MAD", "2024-05-02", 9.6) in days(prices.combine([one, other]))
    assert ("MAD", "2024-05-02", 9.5) in days(prices.combine([other, one]))
    assert len(prices.combine([one, other])) == 4


def test_what_is_written_is_read_back_exactly(coins: pd.DataFrame) -> None:
    written = prices.to_csv(coins)
    read = prices.decode("coins.csv", written)
    pd.testing.assert_frame_equal(read.table, coins, check_exact=True)
    assert prices.to_csv(read.table) == written


def test_the_real_comma_files() -> None:
    for name in ("coin_Bitcoin.csv", "coin_Ethereum.csv"):
        read = prices.read(real(name))
        assert (read.rows, len(read.table)) == (1792, 1792)
        assert str(read.table["date"].max().date()) == "2025-07-24"


def test_the_real_bar_file() -> None:
    read = prices.read(real(MANY))
    assert (read.rows, len(read.table), read.unpriced, read.unfinished) == (3100, 2966, 34, 100)
    assert str(read.table["date"].max().date()) == "2025-07-28"
    assert read.table["symbol"].nunique() == 100


@pytest.mark.parametrize("symbol", ["NAN", "NULL", "NA", "007", "1E5", "TRUE"])
def test_a_symbol_may_look_like_something_else(commas: Path, bars: Path, symbol: str) -> None:
    for path in (commas, bars):
        path.write_text(path.read_text().replace("MAD", symbol))
        table = prices.read(str(path)).table
        assert symbol in set(table["symbol"])
        assert prices.decode("again.csv", prices.to_csv(table)).table.equals(table)
