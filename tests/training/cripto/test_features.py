"""The features, against pandas' own windows; and that none of them sees the future."""

import numpy as np
import pandas as pd
import pytest

from training.cripto.features import code, features, next_returns
from training.cripto.names import FEATURES
from training.cripto.prices import PRICES


@pytest.fixture(scope="module")
def made(coins: pd.DataFrame) -> pd.DataFrame:
    return features(coins)


def coin(coins: pd.DataFrame, symbol: str = "ETH") -> pd.DataFrame:
    return coins[coins["symbol"] == symbol]


@pytest.mark.parametrize("day", [0, 1, 19, 20, 75, 148])
def test_no_look_ahead(coins: pd.DataFrame, made: pd.DataFrame, day: int) -> None:
    """A day's features are the same, bit for bit, whatever comes after it."""
    after = coins["date"] > coins["date"].unique()[day]
    rng = np.random.default_rng(day)
    altered = coins.copy()
    altered.loc[after, [*PRICES, "volume"]] *= rng.uniform(0.1, 10, (int(after.sum()), 5))
    cut = coins[~after]
    for later in (altered, cut):
        found = features(later).loc[cut.index]
        pd.testing.assert_frame_equal(found, made[~after], check_exact=True)
    assert not features(altered)[after].equals(made[after])


def test_each_coin_by_itself(coins: pd.DataFrame, made: pd.DataFrame) -> None:
    """What serving computes of one coin is what training computed among all."""
    for symbol, alone in coins.groupby("symbol"):
        expected = made[coins["symbol"] == symbol]
        pd.testing.assert_frame_equal(features(alone), expected, check_exact=True)
    shuffled = coins.sample(frac=1, random_state=0).sort_values("date", kind="stable")
    pd.testing.assert_frame_equal(features(shuffled).sort_index(), made, check_exact=True)


def test_windows_are_what_pandas_gives(coins: pd.DataFrame, made: pd.DataFrame) -> None:
    one = coin(coins)
    close, daily = one["close"], one["close"].pct_change()
    before = close.shift()
    reach = pd.concat(
        [one["high"] - one["low"], (one["high"] - before).abs(), (one["low"] - before).abs()],
        axis=1,
    ).max(axis=1, skipna=False)
    middle = close.rolling(20).median()
    spread = close.rolling(20).apply(lambda x: np.median(np.abs(x - np.median(x))), raw=True)
    squares = (one["high"] / one["low"]).map(np.log) ** 2
    volume = one["volume"].rolling(20)
    expected = {
        "return_10": close.pct_change(10),
        "lag_2": daily.shift(2),
        "average_5": close / close.rolling(5).mean() - 1,
        "average_20": close / close.rolling(20).mean() - 1,
        "volatility_20": daily.rolling(20).std(),
        "robust_z_20": (close - middle) / (1.4826 * spread),
        "parkinson_10": (squares.rolling(10).mean() / (4 * np.log(2))) ** 0.5,
        "atr_14": reach.rolling(14).mean() / close,
        "volume_z_20": (one["volume"] - volume.mean()) / volume.std(),
        "drawdown_90": close / close.rolling(90, min_periods=1).max() - 1,
    }
    for name, values in expected.items():
        found = made.loc[one.index, name]
        pd.testing.assert_series_equal(found, values, check_names=False, rtol=1e-7, atol=1e-10)


def test_candles_and_the_calendar(coins: pd.DataFrame, made: pd.DataFrame) -> None:
    one, row = coin(coins).iloc[-1], made.loc[coin(coins).index].iloc[-1]
    span = one["high"] - one["low"]
    assert row["body"] == pytest.approx((one["close"] - one["open"]) / span)
    parts = abs(row["body"]) + row["upper_wick"] + row["lower_wick"]
    assert parts == pytest.approx(1)
    assert str(one["date"].date()) == "2024-12-31"  # a Tuesday
    assert row["weekday_sin"] == pytest.approx(np.sin(2 * np.pi / 7))
    assert row["month_cos"] == pytest.approx(1)


def test_a_close_beyond_the_high_stays_within_the_candle(coins: pd.DataFrame) -> None:
    one = coin(coins).copy()
    one.loc[one.index[-1], "close"] = 2 * one["high"].iloc[-1]
    last = features(one).iloc[-1]
    assert 0 <= last["body"] <= 1
    assert last["upper_wick"] == 0


def test_what_cannot_be_computed_is_nan(coins: pd.DataFrame) -> None:
    one = coin(coins).iloc[:25].copy()
    one[list(PRICES)] = 1.0  # as of a coin that is tied to the dollar
    made = features(one)
    assert not np.isinf(made.to_numpy()).any()
    assert made["body"].isna().all()
    assert made["robust_z_20"].isna().all()
    assert made["average_20"].isna().tolist() == [True] * 19 + [False] * 6


def test_the_symbol_is_a_number(coins: pd.DataFrame, made: pd.DataFrame) -> None:
    assert tuple(made.columns) == FEATURES
    assert made.loc[coin(coins).index, "symbol"].unique().tolist() == [code("ETH")]
    assert np.float32(code("ETH")) == code("ETH") != code("BTC")


def test_the_target_needs_the_very_next_day(coins: pd.DataFrame) -> None:
    one = coin(coins).iloc[:5]
    close = one["close"].to_numpy()
    expected = close[1:] / close[:-1] - 1
    np.testing.assert_array_equal(next_returns(one), [*expected, np.nan])
    gap = one.drop(one.index[2])
    np.testing.assert_array_equal(next_returns(gap), [expected[0], np.nan, expected[3], np.nan])


def test_the_target_of_one_coin_is_not_the_next_coins(coins: pd.DataFrame) -> None:
    last = coins["date"] == coins["date"].max()
    assert np.isnan(next_returns(coins)[last.to_numpy()]).all()
    assert np.isfinite(next_returns(coins)[~last.to_numpy()]).all()


def test_no_rows_have_no_features(coins: pd.DataFrame) -> None:
    made = features(coins.iloc[:0])
    assert (len(made), tuple(made.columns)) == (0, FEATURES)
