"""A song, and what the tests of spotify ask about it."""

from typing import Any

import httpx
import numpy as np
import pandas as pd

from training.data import Dataset

MODEL = "spotify-popularity"
ALIAS = "tested"
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
    body = answer.json()
    assert body.keys() == {"popularidad_estimada"}
    return float(body["popularidad_estimada"])


def songs_of(dataset: Dataset, count: int) -> list[dict[str, Any]]:
    """Songs of the table, evenly over it, as a client sends them."""
    even = np.linspace(0, len(dataset.table) - 1, count).astype(int)
    rows = dataset.table.iloc[even][list(SONG)].to_dict("records")
    return [{str(name): plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
