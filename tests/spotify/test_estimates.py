"""The contract of spotify, as `bentoml serve bentos.spotify:Spotify` keeps it: what it answers."""

import re
from collections.abc import Callable

import bentoml
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from bentos import spotify
from tests.memory import release
from tests.spotify.songs import MODEL, NAMES, PLACES, SONG, ask, estimated, songs_of, spelled
from training.data import Dataset
from training.spotify.features import FEATURES, Song


def test_the_song_of_these_tests_has_the_features_in_their_order() -> None:
    assert list(SONG) == [feature.name for feature in FEATURES]


def test_one_song_gets_one_estimate_with_two_decimals(client: httpx.Client, version: str) -> None:
    answer = client.post("/predict/", json=SONG)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == f"{MODEL}/{version}"
    assert re.fullmatch(r'{"popularidad_estimada":\d{1,3}(\.\d{1,2})?}', answer.text)
    assert client.post("/predict", json=SONG).json() == answer.json()


def test_a_list_is_answered_in_order_as_the_model_itself_answers(
    client: httpx.Client,
    dataset: Dataset,
    model: Callable[[Dataset, int], NDArray[np.float64]],
) -> None:
    answers = client.post("/predict/", json=songs_of(dataset, 300)).json()
    found = [answer["popularidad_estimada"] for answer in answers]
    expected = model(dataset, 300)
    assert np.unique(expected.round(2)).size > 100
    assert np.allclose(found, expected, atol=0.0051, rtol=0)
    assert client.post("/predict/", json=[]).json() == []


def test_the_query_gets_the_same_answer(
    client: httpx.Client, dataset: Dataset, version: str
) -> None:
    for song in [SONG, *songs_of(dataset, 30)]:
        posted, got = ask(client, "post", song), ask(client, "get", song)
        assert (got.status_code, got.json()) == (200, posted.json())
        for name in ("content-type", "x-model-version"):
            assert got.headers[name] == posted.headers[name]
        assert got.headers["x-model-version"] == f"{MODEL}/{version}"


@pytest.mark.parametrize("spelling", ["true", "True", "TRUE", "1", "false", "False", "0"])
def test_explicit_takes_true_false_1_and_0(client: httpx.Client, spelling: str) -> None:
    value = {"true": True, "1": 1, "false": False, "0": 0}[spelling.lower()]
    posted = ask(client, "post", SONG | {"explicit": value})
    got = client.get("/predict/params", params=spelled(SONG) | {"explicit": spelling})
    assert (posted.status_code, got.status_code) == (200, 200)
    assert got.json() == posted.json()
    same = ask(client, "post", SONG | {"explicit": bool(value)})
    assert posted.json() == same.json()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_null_empty_or_missing_is_unknown(
    client: httpx.Client, place: str, name: str
) -> None:
    unknown = estimated(client, place, SONG | {name: "unknown"})
    without = {key: value for key, value in SONG.items() if key != name}
    for song in (SONG | {name: None}, SONG | {name: ""}, without):
        assert estimated(client, place, song) == unknown


def test_unknown_is_not_the_same_as_never_seen(client: httpx.Client) -> None:
    unknown = estimated(client, "post", SONG | dict.fromkeys(NAMES))
    assert unknown == estimated(client, "get", SONG | dict.fromkeys(NAMES, "unknown"))
    assert unknown != estimated(client, "post", SONG | dict.fromkeys(NAMES, "nobody's"))


def test_whole_numbers_may_be_written_as_floats(client: httpx.Client) -> None:
    song = SONG | {"key": 5.0, "mode": 1.0, "time_signature": 4.0, "duration_ms": 210_000.0}
    for place in PLACES:
        assert estimated(client, place, song) == estimated(client, "post", SONG)


def test_bentomls_own_client_gets_the_same_answer(client: httpx.Client, url: str) -> None:
    row = list(SONG.values())
    unknown = [*row[:14], None, None, None, None]
    expected = [estimated(client, "post", dict(zip(SONG, r, strict=True))) for r in (row, unknown)]
    with bentoml.SyncHTTPClient(url) as native:
        found = native.predict_batch(rows=[row, unknown])
    assert np.asarray(found).tolist() == [[value] for value in expected]
    answer = client.post("/predict_batch", json={"rows": [[*row[:9], "fast", *row[10:]]]})
    assert answer.status_code == 422
    assert "rows[0][9], tempo: Expected `float`, got `str`" in answer.text


@pytest.mark.parametrize(("raw", "estimate"), [(104.2, 100.0), (-0.3, 0.0), (57.3149, 57.31)])
def test_an_estimate_stays_on_the_scale(raw: float, estimate: float) -> None:
    odd = release("1", lambda rows: np.full(len(rows), raw), name=MODEL)
    song = Song(*SONG.values())
    assert spotify.estimate(odd, [song]) == [spotify.Estimate(estimate)]
