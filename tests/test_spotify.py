"""The contract of spotify, as `bentoml serve bentos.spotify:Spotify` keeps it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostRegressor
from numpy.typing import NDArray

from bentos import spotify
from deploy.local.settings import ROOT
from tests.memory import release
from tests.services import served
from tests.stack import Stack
from tests.web.scrape import value
from tests.web.serving import serving
from training.data import Dataset, read_dataset
from training.settings import PATH, read_settings
from training.spotify.features import FEATURES, NUMBERS, Song
from training.spotify.settings import Settings
from training.spotify.songs import clean, synthetic

MODEL = "spotify-popularity"
ALIAS = "tested"
REAL = ROOT.parent / "shared" / "data" / "spotify" / "spotify_by_genre_6000.csv"
SONG: dict[str, Any] = {
    "duration_ms": 210_000,
    "danceability": 0.65,
    "energy": 0.8,
    "loudness": -5.2,
    "speechiness": 0.05,
    "acousticness": 0.1,
    "instrumentalness": 0.0,
    "liveness": 0.12,
    "valence": 0.6,
    "tempo": 120.5,
    "explicit": False,
    "key": 5,
    "mode": 1,
    "time_signature": 4,
    "artists": "Beyoncé;Dan + Shay",
    "album_name": "10,000 Hours & más",
    "track_name": "¿100% = 1/2?",
    "track_genre": "country",
}
NAMES = list(SONG)[14:]
PLACES = ["post", "get"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real songs where they are at hand; every fifth has no names, so "unknown" means much."""
    made = synthetic(read_settings("spotify", Settings).synthetic)
    table = pd.read_csv(REAL) if REAL.exists() else made.table
    table.loc[::5, NAMES] = None
    path = tmp_path_factory.mktemp("data") / "songs.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def dataset(data: Path) -> Dataset:
    return read_dataset(str(data))


@pytest.fixture(scope="module")
def version(stack: Stack, data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version of a few trees, trained by the command, that only the alias points to."""
    config = tmp_path_factory.mktemp("config") / "training.yaml"
    config.write_text(PATH.read_text().replace("iterations: 300", "iterations: 40"))
    trained = subprocess.run(
        [sys.executable, "-m", "training.spotify", "--config", str(config), "--data", str(data)],
        env=os.environ | {"MLFLOW_TRACKING_URI": stack.mlflow},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(rf"Registered {MODEL} version (\d+):", trained.stderr)
    assert found, trained.stderr
    httpx.post(
        f"{stack.mlflow}/api/2.0/mlflow/registered-models/alias",
        json={"name": MODEL, "alias": ALIAS, "version": found[1]},
    ).raise_for_status()
    return found[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spotify")


@pytest.fixture(scope="module")
def url(stack: Stack, version: str, folder: Path) -> Iterator[str]:
    settings = {
        "ASCENSO_CHANNELS": f'{{"{MODEL}": {{"alias": "{ALIAS}"}}}}',
        "ASCENSO_SERVICES__CORS_ORIGINS": '["https://songs.example.com"]',
    }
    with served("bentos.spotify:Spotify", stack.mlflow, folder, **settings) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


def spelled(song: dict[str, Any]) -> dict[str, str]:
    """The song as a query spells it; what is null is left out."""
    texts = {name: str(value) for name, value in song.items() if value is not None}
    return texts | {"explicit": texts["explicit"].lower()} if "explicit" in texts else texts


def ask(client: httpx.Client, place: str, song: dict[str, Any]) -> httpx.Response:
    if place == "get":
        return client.get("/predict/params", params=spelled(song))
    return client.post("/predict/", json=song)


def estimated(client: httpx.Client, place: str, song: dict[str, Any]) -> float:
    answer = ask(client, place, song)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told.keys() == {"popularidad_estimada"}
    return float(told["popularidad_estimada"])


def songs_of(dataset: Dataset, count: int) -> list[dict[str, Any]]:
    """Songs of the table, evenly over it, as a client sends them."""
    even = np.linspace(0, len(dataset.table) - 1, count).astype(int)
    rows = dataset.table.iloc[even][list(SONG)].to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


@pytest.fixture(scope="module")
def model(url: str, folder: Path) -> Callable[[Dataset, int], NDArray[np.float64]]:
    """Answers of the model that the service fetched, without the service."""
    (path,) = (folder / "home").rglob("model.cb")
    model = CatBoostRegressor().load_model(str(path))

    def answer(dataset: Dataset, count: int) -> NDArray[np.float64]:
        rows = clean(dataset).rows
        even = np.linspace(0, len(rows) - 1, count).astype(int)
        answers: NDArray[np.float64] = np.clip(model.predict(rows.iloc[even]), 0, 100)
        return answers

    return answer


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
    told = {"true": True, "1": 1, "false": False, "0": 0}[spelling.lower()]
    posted = ask(client, "post", SONG | {"explicit": told})
    got = client.get("/predict/params", params=spelled(SONG) | {"explicit": spelling})
    assert (posted.status_code, got.status_code) == (200, 200)
    assert got.json() == posted.json()
    same = ask(client, "post", SONG | {"explicit": bool(told)})
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


def refused(answer: httpx.Response, place: str, field: str) -> str:
    """Check a 422 that names the field; give its message."""
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["query" if place == "get" else "body", field]
    assert "Traceback" not in answer.text
    return str(problem["msg"])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", [feature.name for feature in NUMBERS])
def test_a_number_that_is_missing_or_none_is_named_and_never_0(
    client: httpx.Client, place: str, name: str
) -> None:
    without = {key: value for key, value in SONG.items() if key != name}
    assert refused(ask(client, place, without), place, name) == "Field required"
    for nothing in ("abc", "", "nan", "inf", "-Infinity", "1,5", "0x10", "null"):
        assert refused(ask(client, place, SONG | {name: nothing}), place, name)
    assert client.post("/predict/", json=SONG).status_code == 200


@pytest.mark.parametrize("name", [feature.name for feature in NUMBERS])
def test_a_body_whose_number_is_of_another_kind_is_refused(
    client: httpx.Client, name: str
) -> None:
    whole = httpx.Request("POST", "/", json=SONG | {name: "?"}).content.decode()
    for wrong in ("null", "[1]", "{}", "NaN", "-Infinity", "1e999", '"0"'):
        body = whole.replace('"?"', wrong, 1)
        refused(client.post("/predict/", content=body), "post", name)
    if name != "explicit":
        refused(ask(client, "post", SONG | {name: True}), "post", name)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("danceability", 1.01),
        ("valence", -0.01),
        ("duration_ms", -1),
        ("tempo", 1e9),
        ("loudness", 1e300),
        ("explicit", 2),
        ("explicit", 0.5),
        ("key", 12),
        ("key", 5.5),
        ("mode", 2),
        ("time_signature", -1),
        ("artists", "x" * 2001),
    ],
)
def test_a_value_out_of_bounds_is_named(
    client: httpx.Client, place: str, name: str, wrong: float | str
) -> None:
    refused(ask(client, place, SONG | {name: wrong}), place, name)


@pytest.mark.parametrize("place", PLACES)
def test_a_field_that_no_song_has_is_named(client: httpx.Client, place: str) -> None:
    told = refused(ask(client, place, SONG | {"popularity": 50}), place, "popularity")
    assert told == "Unknown field; leave it out"


def test_a_parameter_given_twice_is_named(client: httpx.Client) -> None:
    answer = client.get("/predict/params", params=[*spelled(SONG).items(), ("tempo", "120")])
    refused(answer, "get", "tempo")


def test_a_bad_song_of_a_list_is_named_by_its_place(client: httpx.Client) -> None:
    answer = client.post("/predict/", json=[SONG, SONG | {"tempo": "fast"}])
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", 1, "tempo"]


@pytest.mark.parametrize(
    "body", [b"", b"tempo=120", b"[" * 100_000, b'{"tempo": 12', b"5", b"\xff"]
)
def test_a_body_that_is_no_song_is_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/predict/", content=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"
    assert client.post("/predict/", json=SONG).status_code == 200


def test_a_body_too_large_is_refused(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        assert other.post("/predict/", content=b" " * (4 * 1024 * 1024 + 1)).status_code == 413
    assert client.post("/predict/", json=SONG).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("GET", "/predict/", 405),
        ("POST", "/predict/params", 405),
        ("GET", "/songs", 404),
    ],
)
def test_a_wrong_address_is_told(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert path in answer.json()["detail"]


@pytest.mark.parametrize(
    ("page", "may"), [("https://songs.example.com", True), ("http://localhost:3000", False)]
)
def test_pages_of_configured_origins_may_call(client: httpx.Client, page: str, may: bool) -> None:
    told = {"access-control-allow-origin": page} if may else {}
    asked = {"origin": page, "access-control-request-method": "POST"}
    answers = [
        client.options("/predict/", headers=asked),
        client.post("/predict/", json=SONG, headers={"origin": page}),
        client.post("/predict/", json={}, headers={"origin": page}),
        client.get("/predict/params", params=spelled(SONG), headers={"origin": page}),
    ]
    assert [answer.status_code for answer in answers] == [200 if may else 400, 200, 422, 200]
    for answer in answers:
        found = answer.headers.get("access-control-allow-origin")
        assert found == told.get("access-control-allow-origin")


def test_pages_on_localhost_may_call_the_local_stack(stack: Stack) -> None:
    for page, told in [("http://localhost:8080", True), ("https://songs.example.com", False)]:
        answer = httpx.post(f"{stack.api}/spotify/predict/", json=SONG, headers={"origin": page})
        assert answer.status_code == 200
        assert ("access-control-allow-origin" in answer.headers) == told


def test_it_answers_in_the_stack(stack: Stack) -> None:
    with httpx.Client(base_url=f"{stack.api}/spotify", timeout=60, trust_env=False) as client:
        posted = client.post("/predict", json=SONG)
        assert posted.headers["x-model-version"].startswith(f"{MODEL}/")
        assert ask(client, "get", SONG).json() == posted.json()
        assert client.get("/docs").status_code == 200


def test_the_docs_tell_both_routes_from_one_definition(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()
    parameters = told["paths"]["/predict/params"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == list(SONG)
    assert [parameter["required"] for parameter in parameters] == [True] * 14 + [False] * 4
    song = told["components"]["schemas"]["Song"]
    assert list(song["properties"]) == list(SONG)
    assert [parameter["schema"] for parameter in parameters] == list(song["properties"].values())
    example = told["paths"]["/predict/"]["post"]["requestBody"]["content"]["application/json"]
    answer = client.post("/predict/", json=example["examples"]["several"]["value"])
    assert len(answer.json()) == 2


def test_releases_and_metrics_tell_of_it(client: httpx.Client, url: str, version: str) -> None:
    (told,) = client.get("/releases").json()["releases"]
    assert (told["model"], told["channel"]) == (MODEL, f"alias {ALIAS}")
    assert (told["live"]["version"], told["live"]["runs"]) == (version, "native")
    before = value(url, "ascenso_batch_rows_sum", model=MODEL)
    client.post("/predict/", json=[SONG] * 7)
    assert value(url, "ascenso_batch_rows_sum", model=MODEL) - before == 7
    client.get("/predict/params", params=spelled(SONG))
    assert value(url, "ascenso_requests_total", service="spotify", route="query", status="200") > 0


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


def test_before_a_promotion_both_routes_say_so() -> None:
    with serving(spotify.app) as url, httpx.Client(base_url=url) as client:
        for place in PLACES:
            answer = ask(client, place, SONG)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert f"No version of {MODEL} serves yet" in answer.json()["detail"]


@pytest.mark.parametrize(("raw", "told"), [(104.2, 100.0), (-0.3, 0.0), (57.3149, 57.31)])
def test_an_estimate_stays_on_the_scale(raw: float, told: float) -> None:
    odd = release("1", lambda rows: np.full(len(rows), raw), name=MODEL)
    song = Song(*SONG.values())
    assert spotify.estimate(odd, [song]) == [spotify.Estimate(told)]
