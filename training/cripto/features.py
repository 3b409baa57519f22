"""What the models see of a day. Training and serving both call `features`, and nothing else.

Every number is free of the price's scale, so that coins of all prices share a model, and every
window looks back: a row never depends on a later one. A day is a row; gaps are not filled.
"""

from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.cripto.names import AVERAGES, FEATURES, LAGS, RETURNS, SYMBOL
from training.cripto.prices import PRICES

Floats = NDArray[np.float64]


def features(prices: pd.DataFrame) -> pd.DataFrame:
    """FEATURES of clean prices (`training.cripto.prices`), float64, row by row.

    A number that needs more days than there are is NaN.
    """
    coins = [_of_one(coin) for _, coin in prices.groupby("symbol", sort=False)]
    whole = pd.concat(coins) if coins else pd.DataFrame(columns=list(FEATURES), dtype=np.float64)
    return whole.loc[prices.index, list(FEATURES)].replace([np.inf, -np.inf], np.nan)


def next_returns(prices: pd.DataFrame) -> Floats:
    """The target: the next day's close over this day's, less one; NaN where none is known."""
    coins = prices.groupby("symbol", sort=False)
    close, date = coins["close"].shift(-1), coins["date"].shift(-1)
    follows = date - prices["date"] == pd.Timedelta(days=1)
    return (close / prices["close"] - 1).where(follows).to_numpy(dtype=np.float64)


def code(symbol: str) -> float:
    """A symbol as a number, for one-hot encoding: a batch of nothing but numbers is quicker.

    24 bits, which float32 holds exactly too. Training refuses two symbols with one code.
    """
    return float(crc32(symbol.encode()) & 0xFFFFFF)


def _of_one(coin: pd.DataFrame) -> pd.DataFrame:
    opening, high, low, close = (coin[name].to_numpy() for name in PRICES)
    day = coin["date"].dt
    with np.errstate(divide="ignore", invalid="ignore"):
        daily = close / back(close, 1) - 1
        columns = (
            {f"return_{days}": close / back(close, days) - 1 for days in RETURNS}
            | {f"lag_{days}": back(daily, days) for days in LAGS}
            | {f"average_{n}": close / windows(close, n).mean(axis=1) - 1 for n in AVERAGES}
            | {f"volatility_{n}": windows(daily, n).std(axis=1, ddof=1) for n in AVERAGES}
            | _candles(opening, high, low, close)
            | {
                "robust_z_20": _robust_z(close, 20),
                "volume_z_20": _z(coin["volume"].to_numpy(), 20),
                "drawdown_90": close / np.nanmax(windows(close, 90), axis=1) - 1,
            }
            | _cycle("weekday", day.day_of_week.to_numpy(), 7)
            | _cycle("month", day.month.to_numpy(), 12)
            | {SYMBOL: np.full(len(coin), code(coin["symbol"].iloc[0]))}
        )
    return pd.DataFrame(columns, index=coin.index)


def _candles(opening: Floats, high: Floats, low: Floats, close: Floats) -> dict[str, Floats]:
    """Shape of the day, Parkinson's volatility (1980), and Wilder's true range (1978) by close."""
    high = np.max([opening, high, close], axis=0)  # some sources let a close lie outside
    low = np.min([opening, low, close], axis=0)
    span, before = high - low, back(close, 1)
    reach = np.max([span, np.abs(high - before), np.abs(low - before)], axis=0)
    variance = windows(np.log(high / low) ** 2, 10).mean(axis=1) / (4 * np.log(2))
    return {
        "body": (close - opening) / span,
        "upper_wick": (high - np.maximum(opening, close)) / span,
        "lower_wick": (np.minimum(opening, close) - low) / span,
        "range": span / opening,
        "parkinson_10": np.sqrt(variance),
        "atr_14": windows(reach, 14).mean(axis=1) / close,
    }


def _robust_z(values: Floats, days: int) -> Floats:
    """Distance from the median of the last days, in scaled median absolute deviations."""
    recent = windows(values, days)
    middle = np.median(recent, axis=1)
    spread = 1.4826 * np.median(np.abs(recent - middle[:, None]), axis=1)
    scores: Floats = (values - middle) / spread
    return scores


def _z(values: Floats, days: int) -> Floats:
    recent = windows(values, days)
    scores: Floats = (values - recent.mean(axis=1)) / recent.std(axis=1, ddof=1)
    return scores


def _cycle(name: str, values: NDArray[np.integer], period: int) -> dict[str, Floats]:
    angle = 2 * np.pi * values / period
    return {f"{name}_sin": np.sin(angle), f"{name}_cos": np.cos(angle)}


def back(values: Floats, days: int) -> Floats:
    """Values (n,) of so many days before; NaN where there is no such day."""
    return windows(values, days + 1)[:, 0]


def windows(values: Floats, days: int) -> Floats:
    """The last `days` values up to each: (n, days), NaN before the first."""
    padded = np.concatenate([np.full(days - 1, np.nan), values])
    view: Floats = np.lib.stride_tricks.sliding_window_view(padded, days)
    return view
