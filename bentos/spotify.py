"""spotify: how popular a song is, from its sound and its names."""

from collections.abc import Sequence
from typing import Annotated

import bentoml
import msgspec
import numpy as np
from bentoml.validators import ContentType
from numpy.typing import NDArray

from bentos.bento.native import LISTS, Native
from bentos.bento.service import Served, quiet, tracked
from bentos.serving.release import Contract, Release
from bentos.settings import settings
from bentos.web.app import NOT_READY, App
from bentos.web.docs import Answer, Operation
from bentos.web.headers import VERSION_HEADER
from bentos.web.hot import Hot
from bentos.web.query import query_route
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


slot = tracked(
    MODEL,
    Contract(
        inputs={feature.name: feature.kind for feature in FEATURES}, outputs={OUTPUT: "double"}
    ),
    estimate,
)
hot, unslashed = (
    Hot("spotify", path, slot, Song, settings().services.request_timeout_seconds)
    for path in ("/predict/", "/predict")
)
native = Native("spotify", slot, Song, settings().services.request_timeout_seconds, LISTS)
TOLD = (
    f"Names that are null, empty or left out are unknown. The header {VERSION_HEADER} tells "
    "which release answered."
)
app = App(
    "spotify",
    "spotify",
    "1",
    [slot],
    hot=[hot, unslashed],
    routes=[query_route("/predict/params", hot)],
    operations=[
        Operation(
            "POST",
            "/predict/",
            "Popularity of a song, or of a list of songs; also at /predict",
            {200: Answer("As many answers, in order", Estimate | list[Estimate]), **NOT_READY},
            description=TOLD,
            body=Song | list[Song],
            examples={"one": EXAMPLE, "several": [EXAMPLE] * 2},
        ),
        Operation(
            "GET",
            "/predict/params",
            "Popularity of a song that the query spells",
            {200: Answer("The same answer as to a POST", Estimate), **NOT_READY},
            description=TOLD,
            query=Song,
            examples={"one": EXAMPLE},
        ),
    ],
)


@bentoml.asgi_app(app)
@bentoml.service(name="spotify", **quiet())
class Spotify(Served):
    """Popularity of songs."""

    apps = (app,)

    @bentoml.api(input_spec=native.call)
    async def predict_batch(
        self, rows: list[Song], ctx: bentoml.Context
    ) -> Annotated[NDArray[np.float64], ContentType("application/json")]:
        """Answer (n, 18), the features in their order, with (n, 1) of popularidad_estimada."""
        return await native.answer(rows, ctx)
