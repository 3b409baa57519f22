"""spotify: how popular a song is, from its sound and its names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import bentoml
import msgspec
import numpy as np
from bentoml.validators import ContentType
from numpy.typing import NDArray
from starlette.requests import Request

from bentos.bento.native import LISTS, call
from bentos.bento.service import OPTIONS, Served
from bentos.serving.release import Contract, Release
from bentos.serving.slot import Slot
from bentos.settings import Settings
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.following import Following
from bentos.web.headers import VERSION_HEADER
from bentos.web.hot import Hot
from bentos.web.query import query
from bentos.web.slots import tracked
from training.spotify.features import FEATURES, OUTPUT, Song, popularity, row

MODEL = "spotify-popularity"
EXAMPLE = {
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
    "explicit": False,
    "key": 5,
    "mode": 1,
    "time_signature": 4,
    "artists": "Luke Bryan",
    "album_name": "Country USA",
    "track_name": "Country On",
    "track_genre": "country",
}


class Estimate(msgspec.Struct, gc=False):
    """A song's popularity on Spotify's scale, 0 to 100, with two decimals."""

    popularidad_estimada: float


def estimate(release: Release, songs: Sequence[Song]) -> list[Estimate]:
    """Run one batch."""
    rows = np.array([row(song) for song in songs], dtype=object)
    return [Estimate(round(value, 2)) for value in popularity(release.predict(rows)).tolist()]


CONTRACT = Contract(
    inputs={feature.name: feature.kind for feature in FEATURES}, outputs={OUTPUT: "double"}
)
DESCRIPTION = (
    f"Names that are null, empty or left out are unknown. The header {VERSION_HEADER} tells "
    "which release answered."
)


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    slot = tracked(settings, MODEL, CONTRACT, estimate)
    endpoints = predictions(slot, settings.services.request_timeout_seconds)
    return App("spotify", endpoints, Following([slot]), gate or Gate(settings))


def predictions(slot: Slot[Song, Estimate], seconds: float) -> list[Endpoint]:
    """Where a song is asked for, by its body or by its query."""
    hot, unslashed = (
        Hot("spotify", path, slot, Song, seconds) for path in ("/predict/", "/predict")
    )
    predict = Endpoint(
        "POST",
        hot.path,
        hot,
        "Popularity of a song, or of a list of songs; also at /predict",
        {200: Answer("As many answers, in order", Estimate | list[Estimate]), **NOT_READY},
        description=DESCRIPTION,
        body=Song | list[Song],
        examples={"one": EXAMPLE, "several": [EXAMPLE] * 2},
    )
    also = replace(predict, path=unslashed.path, handler=unslashed, include_in_schema=False)
    spelled = Endpoint(
        "GET",
        "/predict/params",
        query(hot),
        "Popularity of a song that the query spells",
        {200: Answer("The same answer as to a POST", Estimate), **NOT_READY},
        description=DESCRIPTION,
        query=Song,
        examples={"one": EXAMPLE},
    )
    return [predict, also, spelled]


@bentoml.service(name="spotify", **OPTIONS)
class Spotify(Served, build=build):
    """Popularity of songs."""

    @bentoml.api(input_spec=call(LISTS))
    async def predict_batch(
        self, rows: Request, ctx: bentoml.Context
    ) -> Annotated[NDArray[np.float64], ContentType("application/json")]:
        """Answer (n, 18), the features in their order, with (n, 1) of popularidad_estimada."""
        return await self.native.answer(rows, ctx)
