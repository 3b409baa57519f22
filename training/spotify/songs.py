"""Songs as the recipe takes them, cleaned; and made ones, when there is no real file."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.data import Dataset, numbers, synthetic_dataset
from training.errors import InputError
from training.spotify.features import FEATURES, NAMES, NUMBERS, POPULARITY, UNKNOWN, popularity
from training.spotify.settings import Synthetic

TARGET = "popularity"
COLUMNS = (TARGET, *(feature.name for feature in FEATURES))
LEAST_SONGS = 50
TRUTHS = {"true": 1.0, "false": 0.0}

Floats = NDArray[np.float64]

log = logging.getLogger("training")


@dataclass(frozen=True)
class Songs:
    """`rows` (n, 18): the features in their order; `popularity` float64 (n,), 0 to 100."""

    rows: pd.DataFrame
    popularity: Floats
    dropped: int


def clean(dataset: Dataset) -> Songs:
    """Check the table; drop songs without popularity, or with a number the service would refuse.

    Raises `InputError` for a column that is no number, or too few songs left.
    """
    table = dataset.table
    target = numbers(dataset, TARGET)
    kept = (target >= POPULARITY[0]) & (target <= POPULARITY[1])
    rows: dict[str, object] = {}
    for feature in NUMBERS:
        values = (
            booleans(dataset) if feature.name == "explicit" else numbers(dataset, feature.name)
        )
        kept &= (values >= feature.low) & (values <= feature.high)
        rows[feature.name] = values
    for name in NAMES:
        rows[name] = table[name].astype(object).where(table[name].notna(), UNKNOWN).astype(str)
    if kept.sum() < LEAST_SONGS:
        raise InputError(
            f"{dataset.source}: {kept.sum()} of {len(table)} songs are complete and in bounds; "
            f"give at least {LEAST_SONGS}."
        )
    dropped = int((~kept).sum())
    if dropped:
        log.warning(
            "Dropped %d of %d songs: a number is missing, or out of bounds.", dropped, len(table)
        )
    return Songs(pd.DataFrame(rows)[kept], target[kept], dropped)


def booleans(dataset: Dataset) -> Floats:
    """Give the column `explicit`, true and false in any writing, as 1 and 0."""
    texts = dataset.table["explicit"].astype(object)
    truths = texts.map(lambda value: TRUTHS.get(str(value).strip().lower(), value))
    return numbers(replace(dataset, table=truths.to_frame()), "explicit")


def synthetic(size: Synthetic) -> Dataset:
    """Make songs whose popularity hangs on genre, artist and a few of the numbers."""
    rng = np.random.default_rng(size.seed)
    n = size.songs
    genres = np.array(["country", "deep-house", "dubstep", "hip-hop", "metal", "rock"])
    artist = rng.integers(0, n // 20, n)
    genre = artist % len(genres)
    fame = rng.normal(0, 12, n // 20)[artist]
    table = sounds(rng, n)
    liked = 30 + 6 * genre + fame + 18 * (table["danceability"] - 0.5) + 5 * table["explicit"]
    names: dict[str, Any] = {
        "track_id": [f"synthetic{number:06d}" for number in range(n)],
        "artists": [f"Artist {number}" for number in artist],
        "album_name": [f"Album {number}" for number in artist * 3 + rng.integers(0, 3, n)],
        "track_name": [f"Song {number}" for number in range(n)],
        "track_genre": genres[genre],
        TARGET: popularity(liked + rng.normal(0, 8, n)).round().astype(int),
    }
    return synthetic_dataset("spotify", size.seed, table.assign(**names))


def sounds(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Make the numbers of n songs."""
    energy = rng.beta(3, 1.5, n)
    return pd.DataFrame(
        {
            "duration_ms": rng.normal(222_000, 60_000, n).clip(30_000).astype(int),
            "explicit": rng.random(n) < 0.1,
            "danceability": rng.beta(4, 3, n),
            "energy": energy,
            "key": rng.integers(0, 12, n),
            "loudness": -12 + 9 * energy + rng.normal(0, 1.5, n),
            "mode": rng.integers(0, 2, n),
            "speechiness": rng.beta(1.5, 18, n),
            "acousticness": rng.beta(0.5, 2.5, n),
            "instrumentalness": rng.beta(0.2, 2.5, n),
            "liveness": rng.beta(2, 8, n),
            "valence": rng.beta(2, 2.5, n),
            "tempo": rng.normal(125, 28, n).clip(50, 220),
            "time_signature": rng.choice([3, 4, 4, 4, 4, 5], n),
        }
    )
