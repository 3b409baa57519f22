from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.data import Dataset, read_dataset
from training.errors import InputError
from training.spotify.features import FEATURES
from training.spotify.settings import Synthetic
from training.spotify.songs import COLUMNS, clean, synthetic

ORDER = [feature.name for feature in FEATURES]


def spoil(dataset: Dataset, column: str, values: Sequence[object]) -> None:
    """Put values into the first rows."""
    spoilt = dataset.table[column].astype(object)
    spoilt.iloc[: len(values)] = list(values)
    dataset.table[column] = spoilt


def test_songs_come_in_the_order_of_the_features(dataset: Dataset) -> None:
    songs = clean(dataset)
    assert list(songs.rows.columns) == ORDER
    assert all(songs.rows[name].dtype == np.float64 for name in ORDER[:14])
    assert songs.rows["tempo"].tolist() == dataset.table["tempo"].tolist()
    assert songs.popularity.tolist() == dataset.table["popularity"].tolist()
    assert songs.dropped == 0


def test_songs_without_popularity_are_dropped(
    dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(dataset, "popularity", [None, np.nan, -1, 101])
    songs = clean(dataset)
    assert songs.dropped == 4
    assert songs.rows["tempo"].tolist() == dataset.table["tempo"].tolist()[4:]
    assert "Dropped 4 of 600 songs" in caplog.text


def test_songs_that_the_service_would_refuse_are_dropped(dataset: Dataset) -> None:
    spoil(dataset, "danceability", [1.01])
    spoil(dataset, "tempo", [120, None, np.inf])
    songs = clean(dataset)
    assert songs.dropped == 3
    assert len(songs.rows) == len(songs.popularity) == 597


@pytest.mark.parametrize(
    "written",
    [[True, False], ["True", "False"], ["TRUE", "FALSE"], [" true", "false "], [1, 0], ["1", "0"]],
)
def test_explicit_in_any_writing_is_1_or_0(dataset: Dataset, written: list[object]) -> None:
    spoil(dataset, "explicit", written)
    assert clean(dataset).rows["explicit"].tolist()[:2] == [1, 0]


def test_names_that_are_missing_are_unknown(dataset: Dataset) -> None:
    for name in ORDER[14:]:
        spoil(dataset, name, [None, np.nan, pd.NA])
    songs = clean(dataset)
    assert songs.dropped == 0
    assert (songs.rows[ORDER[14:]].iloc[:3] == "unknown").all(axis=None)
    assert not (songs.rows[ORDER[14:]].iloc[3:] == "unknown").any(axis=None)


@pytest.mark.parametrize(
    ("column", "value"), [("tempo", "fast"), ("explicit", "maybe"), ("popularity", "high")]
)
def test_a_column_that_holds_no_numbers_is_named(
    dataset: Dataset, column: str, value: str
) -> None:
    spoil(dataset, column, [value])
    with pytest.raises(InputError, match=f"column {column} has '{value}', which is no number"):
        clean(dataset)


def test_too_few_songs_are_refused(dataset: Dataset) -> None:
    spoil(dataset, "energy", [None] * 551)
    with pytest.raises(InputError, match="49 of 600 songs are complete and in bounds; give at"):
        clean(dataset)


def test_made_songs_are_seeded_and_look_like_the_real_ones(real_file: Path) -> None:
    made = synthetic(Synthetic(songs=600, seed=3))
    assert made.synthetic
    assert made.name == "spotify-synthetic"
    assert made.sha256 == synthetic(Synthetic(songs=600, seed=3)).sha256
    assert made.sha256 != synthetic(Synthetic(songs=600, seed=4)).sha256
    real = read_dataset(str(real_file), COLUMNS)
    assert set(made.table.columns) == set(real.table.columns)
    kinds = {column: real.table[column].dtype.kind for column in real.table}
    assert {column: made.table[column].dtype.kind for column in real.table} == kinds


def test_the_real_songs_are_all_complete(real_file: Path) -> None:
    songs = clean(read_dataset(str(real_file), COLUMNS))
    assert len(songs.rows) == 6000
    assert songs.dropped == 0
    assert songs.rows["explicit"].sum() == 654
