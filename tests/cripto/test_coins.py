import pandas as pd
import pytest

from bentos.cripto.coins import Coins
from training.cripto.features import features
from training.cripto.prices import to_csv
from training.cripto.settings import Synthetic
from training.cripto.synthetic import synthetic


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    made = synthetic(Synthetic(days=60, seed=1))
    return {f"{symbol}/daily.csv": to_csv(coin) for symbol, coin in made.groupby("symbol")}


@pytest.fixture
def coins(files: dict[str, bytes]) -> Coins:
    coins = Coins("s3://x")
    coins.update(files, set(files))
    return coins


def test_the_last_day_and_its_features(coins: Coins) -> None:
    made = synthetic(Synthetic(days=60, seed=1)).query("symbol == 'ETH'")
    coin = coins.get("ETH")
    assert coin
    assert coin.row == tuple(features(made).iloc[-1])
    assert (coin.last_day, coin.close) == ("2024-12-31", made["close"].iloc[-1])
    assert coins.symbols == ["ADA", "BTC", "DOGE", "ETH", "SOL", "XRP"]


def test_only_the_coins_that_changed_are_read(coins: Coins, files: dict[str, bytes]) -> None:
    before = {symbol: coins.get(symbol) for symbol in coins.symbols}
    coins.update(files, {"ETH/daily.csv", "README.md"})
    changed = [symbol for symbol in coins.symbols if coins.get(symbol) is not before[symbol]]
    assert changed == ["ETH"]


def test_a_coin_without_files_or_rows_is_unknown(coins: Coins, files: dict[str, bytes]) -> None:
    head = files["BTC/daily.csv"].splitlines()[0]
    left = {name: body for name, body in files.items() if name != "ADA/daily.csv"}
    nothing = b"0,0,0,0,0"
    left["BTC/daily.csv"] = b"%s\n2024-12-31,%s,BTC,BTC,\n" % (head, nothing)
    coins.update(left, {"ADA/daily.csv", "BTC/daily.csv"})
    assert coins.symbols == ["DOGE", "ETH", "SOL", "XRP"]


def test_other_symbols_in_a_coins_folder_are_left_out(
    coins: Coins, files: dict[str, bytes]
) -> None:
    coins.update({"NEW/eth.csv": files["ETH/daily.csv"]}, {"NEW/eth.csv"})
    assert coins.get("NEW") is None


def test_files_that_cannot_be_read_leave_what_was_known(
    coins: Coins,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = coins.get("BTC")
    coins.update(files | {"BTC/x.csv": b"a,b\n1,2\n"}, {"BTC/x.csv"})
    assert coins.get("BTC") is before is not None
    assert "s3://x/BTC/x.csv has no column" in caplog.text

    def fail(prices: pd.DataFrame) -> pd.DataFrame:
        raise ZeroDivisionError

    monkeypatch.setattr("training.cripto.features.features", fail)
    coins.update(files, {"BTC/daily.csv", "ETH/daily.csv"})
    assert coins.get("BTC") is before
    assert "reading the files of ETH failed" in caplog.text
