"""What spotify refuses, and how it names what is wrong."""

import httpx
import pytest

from tests.spotify.songs import PLACES, SONG, ask, spelled
from training.spotify.features import NUMBERS


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
    message = refused(ask(client, place, SONG | {"popularity": 50}), place, "popularity")
    assert message == "Unknown field; leave it out"


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
    with httpx.Client(base_url=client.base_url, timeout=60, trust_env=False) as other:
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
def test_a_wrong_address_is_named(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert path in answer.json()["detail"]
