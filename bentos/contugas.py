"""contugas: anomalies in hourly readings of industrial gas clients."""

from collections.abc import Sequence
from typing import Annotated

import bentoml
import msgspec
import numpy as np
from bentoml.validators import ContentType
from numpy.typing import NDArray
from starlette.requests import Request

from bentos.bento.native import call
from bentos.bento.service import OPTIONS, Served
from bentos.serving.release import Contract, Release
from bentos.settings import Settings
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.following import Following
from bentos.web.headers import VERSION_HEADER
from bentos.web.hot import Hot
from bentos.web.slots import tracked

MODEL = "contugas-anomaly"
LARGEST = 1e9  # beyond any gauge, and well inside what float32 trees can tell apart
Measure = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One reading, in the units of the gauges."""

    presion: Measure
    temperatura: Measure
    volumen: Measure


class Judgement(msgspec.Struct, gc=False):
    """Where a reading belongs, and whether it is anomalous (1) or normal (0)."""

    cluster: int
    prediccion: int


def judge(release: Release, readings: Sequence[Reading]) -> list[Judgement]:
    """Run one batch."""
    rows = np.array([(r.presion, r.temperatura, r.volumen) for r in readings], dtype=np.float64)
    return [Judgement(*answer) for answer in judged(release, rows).tolist()]


def judged(release: Release, rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cluster and anomaly (rows, 2) of readings (rows, 3)."""
    answers: NDArray[np.int64] = release.predict(rows)
    return answers


CONTRACT = Contract(
    inputs=dict.fromkeys(Reading.__struct_fields__, "double"),
    outputs=dict.fromkeys(Judgement.__struct_fields__, "long"),
)


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    slot = tracked(settings, MODEL, CONTRACT, judge)
    hot = Hot("contugas", "/predict", slot, Reading, settings.services.request_timeout_seconds)
    predict = Endpoint(
        "POST",
        hot.path,
        hot,
        "Cluster and anomaly of a reading, or of a list of readings",
        {200: Answer("As many answers, in order", Judgement | list[Judgement]), **NOT_READY},
        description=f"The header {VERSION_HEADER} tells which release answered.",
        body=Reading | list[Reading],
        examples={
            "one": {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0},
            "several": [{"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}] * 2,
        },
    )
    return App("contugas", [predict], Following([slot]), gate or Gate(settings))


@bentoml.service(name="contugas", **OPTIONS)
class Contugas(Served, build=build):
    """Anomalies in hourly gas readings."""

    @bentoml.api(input_spec=call())
    async def predict_batch(
        self, rows: Request, ctx: bentoml.Context
    ) -> Annotated[NDArray[np.int64], ContentType("application/json")]:
        """Answer (n, 3) of presion, temperatura, volumen with (n, 2) of cluster, prediccion."""
        return await self.native.answer(rows, ctx)
