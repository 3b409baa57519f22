"""What the notebook trains with, and rows that nobody chose."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

TRAINING, FRESH = 600, 1000
CITIES = ["Rosario", "São Paulo", "La Paz", "01234", "NA"]
HEATING = ["gas", "wood", "none"]
NUMBERS = ["rooms", "size m2", "age"]
WORDS = ["city", "heating"]
VOCABULARY = ["quiet", "loud", "sunny", "dark", "new", "old", "near", "far", "cheap", "dear"]
UNKNOWN = "Atlantis"


def homes(count: int, seed: int, wide: int = 1) -> pd.DataFrame:
    """Homes; `wide` ones are unlike those that anybody was trained with."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "rooms": random.integers(1, 9, count) * wide,
            "size m2": random.lognormal(4, 0.4 * wide, count),
            "age": random.normal(40, 20 * wide, count).round(1),
            "city": random.choice(CITIES, count).astype(object),
            "heating": random.choice(HEATING, count).astype(object),
        }
    )


HOMES = homes(TRAINING, 1)
PRICE = (
    3.0 * HOMES["size m2"]
    + 40 * HOMES["rooms"]
    - HOMES["age"]
    + 90 * (HOMES["city"] == "La Paz")
    + np.random.default_rng(5).normal(0, 20, TRAINING)
)
LEVEL = np.array(["cheap", "fair", "dear"])[pd.qcut(PRICE, 3, labels=False).to_numpy()]
BOUGHT = (PRICE.median() < PRICE).astype(int).to_numpy()


def fresh(
    columns: Sequence[str],
    missing: Sequence[str] = (),
    unknown: Sequence[str] = (),
    count: int = FRESH,
) -> pd.DataFrame:
    """Rows of these columns, some of which lack values, or have words that nobody knows."""
    random = np.random.default_rng(2)
    table = homes(count, 3, wide=3)[list(columns)]
    for name in unknown:
        table.loc[random.random(count) < 0.1, name] = UNKNOWN
    for name in missing:
        table.loc[random.random(count) < 0.1, name] = None if name in WORDS else np.nan
    return table


def texts(count: int, seed: int, words: Sequence[str] = ()) -> list[str]:
    """Texts of one to six words, some of them from `words`."""
    random = np.random.default_rng(seed)
    known = [*VOCABULARY, *words]
    return [" ".join(random.choice(known, random.integers(1, 7))) for _ in range(count)]


def as_json(rows: Any) -> list[Any]:
    """Rows as a caller sends them; a missing value is null."""
    if isinstance(rows, pd.DataFrame):
        return list(rows.astype(object).where(rows.notna(), None).to_dict("records"))
    return list(rows.tolist() if isinstance(rows, np.ndarray) else rows)
