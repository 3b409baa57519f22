"""keras_api: any number of neural networks, by name, behind a token."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import bentoml
import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos.bento.service import Served, quiet, racked
from bentos.keras_api.answers import Answers
from bentos.keras_api.tally import Tally
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import settings
from bentos.web.app import NOT_READY, App, to_json
from bentos.web.body import Decoder, read
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure, HTTPError, clip
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.hot import predict

CACHE_HEADER = "x-cache"
TOLD_CALLS = 100

Row = list[float]
Rows = Annotated[list[Row], msgspec.Meta(min_length=1, max_length=settings().limits.rows_per_call)]


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """Rows for one model, in the units that it was trained with."""

    data: Rows
    model_id: str = "default"


class Prediction(msgspec.Struct):
    """What a model says of each row, in order.

    `confidence` is the share of the training's rows that lie farther out than this one: rows like
    those of the training have about .5 in the mean, a row unlike all of them has 0.
    """

    predictions: list[list[float]]
    confidence: list[float]
    model_id: str
    timestamp: str


class Record(msgspec.Struct):
    """One call that was answered."""

    timestamp: str
    model_id: str
    n_predicciones: int
    confianza_promedio: float | None


class Stats(msgspec.Struct):
    """Rows answered by all workers since the first start, and the latest calls, oldest first.

    `uptime` is in seconds.
    """

    timestamp: str
    modelos_activos: int
    predicciones_totales: int
    uptime: float
    historial_predicciones: list[Record]


class Models(msgspec.Struct):
    """The models that serve, by the `model_id` of a call."""

    modelos: list[str]
    total: int
    timestamp: str


class Health(msgspec.Struct):
    """That the service answers, and how many models serve."""

    status: str
    timestamp: str
    modelos_activos: int


class Cleared(msgspec.Struct):
    """That no kept answer will be given again."""

    status: str
    timestamp: str


class Kept(msgspec.Struct, array_like=True):
    """What the cache keeps of a prediction."""

    predictions: list[list[float]]
    confidence: list[float]


class Unfit(ValueError):
    """A row that the model cannot take."""


def infer(release: Release, rows: Sequence[Row]) -> list[NDArray[np.float64]]:
    """Run one batch: of each row the predictions, and the confidence as the last number."""
    check_width(release, rows)  # again, as the live release may have changed
    return list(release.predict(np.array(rows, dtype=np.float64)))


def check_width(release: Release, rows: Sequence[Row]) -> None:
    """Raise Unfit for the first row that has not as many numbers as the model takes."""
    (width,) = release.row_shape
    for index, row in enumerate(rows):
        if len(row) != width:
            raise Unfit(f"data[{index}] has {len(row)} numbers; {release} takes {width}")


rack = racked("keras-", infer)
answers = Answers(settings().answers, settings().home)
tally = Tally(settings().home / "keras_api.db")
decode: Decoder[Call] = Decoder(Call)


async def predictions(request: Request) -> Response:
    """`POST /predict`."""
    call = decode(await read(request.scope, request.receive, settings().limits.body_bytes))
    slot = await app.slot(rack, call.model_id)
    if slot is None:
        raise HTTPError(404, unknown(call.model_id))
    try:
        kept, version, hit = await recall(slot, call.data)
    except Unfit as error:
        raise HTTPError(400, str(error)) from None
    mean = sum(kept.confidence) / len(kept.confidence)
    await tally.add(call.model_id, len(call.data), mean)
    told = Prediction(kept.predictions, kept.confidence, call.model_id, now())
    answer = to_json(told)
    answer.headers[VERSION_HEADER] = spelled(version)
    answer.headers[CACHE_HEADER] = "hit" if hit else "miss"
    return answer


async def recall(slot: Slot[Row, NDArray[np.float64]], rows: list[Row]) -> tuple[Kept, str, bool]:
    """The answer, kept or new, with the version that gave it, and whether it was kept.

    A kept answer counts only while the release that gave it is live.
    """
    while (live := slot.live) is not None:
        check_width(live, rows)
        content = np.array(rows, dtype=np.float64).tobytes()  # its width is the version's
        key = await answers.key(live.version, content)
        body = await answers.get(key)
        if slot.live is not live:
            continue
        if body is not None:
            return msgspec.msgpack.decode(body, type=Kept), str(live), True
        kept, release = await ask(slot, rows)
        if release is live:
            await answers.put(key, msgspec.msgpack.encode(kept))
        return kept, str(release), False
    kept, release = await ask(slot, rows)  # which waits for a model on its way, or says so
    return kept, str(release), False


async def ask(slot: Slot[Row, NDArray[np.float64]], rows: list[Row]) -> tuple[Kept, Release]:
    """A new answer. Raises Unfit where the model gives no finite number."""
    answered = await predict(slot, rows, settings().services.request_timeout_seconds)
    table = np.array(answered.answers)
    odd = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if odd.size:
        raise Unfit(
            f"data[{odd[0]}] is too far out: {answered.release} gives no finite number for it"
        )
    return Kept(table[:, :-1].tolist(), table[:, -1].tolist()), answered.release


async def stats(request: Request) -> Response:
    """`GET /stats`."""
    calls = sorted(await tally.recent(TOLD_CALLS), key=lambda call: call.at)
    history = [
        Record(c.at.removesuffix("+00:00"), c.model_id, c.rows, c.mean_confidence) for c in calls
    ]
    uptime = datetime.now(UTC).timestamp() - psutil.Process().create_time()
    return to_json(Stats(now(), len(serving()), await tally.total(), uptime, history))


async def models(request: Request) -> Response:
    """`GET /models`."""
    return to_json(Models(serving(), len(serving()), now()))


async def health(request: Request) -> Response:
    """`GET /health`."""
    return to_json(Health("healthy", now(), len(serving())))


async def clear(request: Request) -> Response:
    """`POST /cache/clear`."""
    await answers.clear()
    return to_json(Cleared("cache cleared", now()))


def serving() -> list[str]:
    """The models that serve."""
    return [rack.name(slot) for slot in rack.slots if slot.live]


def unknown(model_id: str) -> str:
    """That no such model is promoted, and which are."""
    known = ", ".join(serving()) or "none yet"
    return f"No model {clip(model_id)!r} is in production. Those that are: {known}"


def now() -> str:
    """The time in UTC, as `2024-01-15T10:30:45.123456`."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


app = App(
    "keras_api",
    "keras_api",
    "1",
    [],
    routes=[
        Route("/predict", predictions, methods=["POST"]),
        Route("/stats", stats),
        Route("/models", models),
        Route("/health", health),
        Route("/cache/clear", clear, methods=["POST"]),
    ],
    operations=[
        Operation(
            "POST",
            "/predict",
            "Predictions for rows, and how much each row is like the training's",
            {
                200: Answer("As many answers, in order", Prediction),
                400: Answer("A row has not the model's width, or is too far out", Failure),
                404: Answer("No such model is in production", Failure),
                **NOT_READY,
            },
            description=f"The header {VERSION_HEADER} tells which version answered, "
            f"{CACHE_HEADER} whether its answer was kept from before.",
            body=Call,
            examples={"one": {"data": [[0.1] * 10], "model_id": "default"}},
        ),
        Operation("GET", "/stats", "What was answered", {200: Answer("Counts", Stats)}),
        Operation("GET", "/models", "The models that serve", {200: Answer("They", Models)}),
        Operation("GET", "/health", "Whether it answers", {200: Answer("It does", Health)}),
        Operation(
            "POST",
            "/cache/clear",
            "Forget the kept answers",
            {200: Answer("They are forgotten, in every worker", Cleared)},
        ),
    ],
    racks=[rack],
    writes=[("POST", "/cache/clear")],
)


@bentoml.asgi_app(app)
@bentoml.service(name="keras_api", **quiet())
class KerasApi(Served):
    """Any number of neural networks, behind a token."""

    apps = (app,)
