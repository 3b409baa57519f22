import msgspec
import numpy as np
import pytest
from msgspec import inspect

from training.spotify.features import FEATURES, Song, _feature, popularity, row

NUMBERS = {
    "duration_ms": 210_000,
    "danceability": 0.65,
    "energy": 0.8,
    "loudness": -5.2,
    "speechiness": 0.05,
    "acousticness": 0.1,
    "instrumentalness": 0,
    "liveness": 0.12,
    "valence": 0.6,
    "tempo": 120,
    "explicit": True,
    "key": 5,
    "mode": 1,
    "time_signature": 4,
}
NAMES = ("artists", "album_name", "track_name", "track_genre")


def test_the_features_are_those_of_the_contract_in_its_order() -> None:
    assert [feature.name for feature in FEATURES] == [*NUMBERS, *NAMES]
    assert [feature.kind for feature in FEATURES] == ["double"] * 14 + ["string"] * 4
    assert all(feature.low < feature.high < np.inf for feature in FEATURES[:14])


def test_a_row_holds_the_numbers_then_the_names() -> None:
    song = msgspec.convert(NUMBERS | dict(zip(NAMES, "abcd", strict=True)), Song)
    assert row(song) == (*map(float, NUMBERS.values()), "a", "b", "c", "d")
    assert [type(value) for value in row(song)] == [float] * 14 + [str] * 4


@pytest.mark.parametrize("nothing", [{}, dict.fromkeys(NAMES), dict.fromkeys(NAMES, "")])
def test_a_name_that_is_none_is_unknown(nothing: dict[str, str | None]) -> None:
    assert row(msgspec.convert(NUMBERS | nothing, Song))[14:] == ("unknown",) * 4


def test_popularity_stays_on_its_scale() -> None:
    assert popularity([-0.4, 57.3, 104.2]).tolist() == [0, 57.3, 100]


@pytest.mark.parametrize("kind", [float, int, list[str], float | str])
def test_a_feature_must_be_a_bounded_number_or_a_name(kind: type) -> None:
    odd = msgspec.defstruct("Odd", [("odd", kind)])
    (field,) = inspect.type_info(odd).fields  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="odd is neither a number with bounds nor a name"):
        _feature(field)
