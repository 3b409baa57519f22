"""Made coins, for when there are no files: seeded, and called synthetic wherever they show."""

import numpy as np
import pandas as pd

from training.cripto.prices import combine
from training.cripto.settings import Synthetic

STARTS = {"ADA": 0.5, "BTC": 42_000.0, "DOGE": 0.08, "ETH": 2_300.0, "SOL": 95.0, "XRP": 0.6}
LAST_DAY = pd.Timestamp("2024-12-31")


def synthetic(size: Synthetic) -> pd.DataFrame:
    """Clean prices of six coins: one market moves them all, calm and wild days come in spells."""
    rng = np.random.default_rng(size.seed)
    spells = np.exp(
        np.convolve(rng.normal(0, 0.25, size.days + 29), np.ones(30) / 30**0.5, "valid")
    )
    market = rng.standard_t(4, size.days) * 0.015 * spells
    dates = pd.date_range(end=LAST_DAY, periods=size.days, unit="us")
    return combine(_coin(symbol, start, dates, market, rng) for symbol, start in STARTS.items())


def _coin(
    symbol: str,
    start: float,
    dates: pd.DatetimeIndex,
    market: np.ndarray[tuple[int], np.dtype[np.float64]],
    rng: np.random.Generator,
) -> pd.DataFrame:
    days = len(dates)
    close = start * np.exp(np.cumsum(market + rng.normal(0.0003, 0.015, days)))
    opening = np.concatenate([[start], close[:-1]])
    wicks = 1 + np.abs(rng.normal(0, 0.01, (2, days)))
    volume = np.exp(rng.normal(0, 0.4, days) + 10 * np.abs(market)) * 1e6 / start
    prices = {
        "open": opening,
        "high": np.maximum(opening, close) * wicks[0],
        "low": np.minimum(opening, close) / wicks[1],
        "close": close,
    }
    return pd.DataFrame({"symbol": symbol, "date": dates, **prices, "volume": volume})
