"""Songs, made and real, and what a few trees learn of them."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from training.data import Dataset
from training.settings import read_settings
from training.spotify.recipe import Result, train
from training.spotify.settings import Settings, Synthetic
from training.spotify.songs import Songs, clean, synthetic

REAL = Path(__file__).parents[4] / "shared" / "data" / "spotify" / "spotify_by_genre_6000.csv"


@pytest.fixture(scope="session")
def spotify_settings() -> Settings:
    return msgspec.structs.replace(read_settings("spotify", Settings), iterations=60, depth=4)


@pytest.fixture(scope="session")
def made() -> Dataset:
    return synthetic(Synthetic(songs=600, seed=3))


@pytest.fixture
def dataset(made: Dataset) -> Dataset:
    """The made songs, to be spoilt."""
    return replace(made, table=made.table.copy())


@pytest.fixture(scope="session")
def songs(made: Dataset) -> Songs:
    return clean(made)


@pytest.fixture(scope="session")
def result(songs: Songs, spotify_settings: Settings) -> Result:
    return train(songs, spotify_settings)


@pytest.fixture(scope="session")
def real_file() -> Path:
    if not REAL.exists():
        pytest.skip(f"no {REAL.name} beside the repository, in ../shared/data/spotify")
    return REAL
