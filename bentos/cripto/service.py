"""cripto: tomorrow's price and direction of crypto assets, by five models."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import bentoml
import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos.bento.service import Served, quiet, tracked
from bentos.cripto.coins import Coin, Coins, Row
from bentos.cripto.mirror import Mirror
from bentos.serving.release import Contract, Release
from bentos.settings import settings
from bentos.web.app import App, to_json
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure, HTTPError, Unavailable, clip, unexpected
from bentos.web.hot import predict
from training.cripto import names
from training.cripto.names import FEATURES, OUTPUTS

VERSION = "1"
WELCOME = {
    "message": "Cripto Prediction API",
    "version": VERSION,
    "docs": "/docs",
    "health": "/health",
}
NO_SYMBOL = "Símbolo do ativo é obrigatório"
NOT_LOADED = "Modelos não carregados. Tente novamente em alguns segundos."
NO_PRICES = "Preços não carregados. Tente novamente em alguns segundos."
RELOADED = "Modelos recarregados com sucesso"

Kind = Literal["regressor", "classifier"]
MODELS: dict[str, Kind] = {
    "regressor_rf": "regressor",
    "regressor_gbr": "regressor",
    "regressor_lin": "regressor",
    "classifier_rf": "classifier",
    "classifier_log": "classifier",
}


class Health(msgspec.Struct):
    """The models that serve, with their versions."""

    status: Literal["healthy", "unhealthy"]
    models_loaded: bool
    total_models: int
    models: list[str]
    versions: dict[str, str]


class Models(msgspec.Struct):
    """The models that serve; `last_loaded` is when the latest began to, in UTC."""

    total_models: int
    models: list[str]
    versions: dict[str, str]
    last_loaded: str | None


class Reloaded(msgspec.Struct):
    """The models that serve after a look, and those among them that changed by it."""

    message: str
    total_models: int
    models: list[str]
    alterados: dict[str, str]


class Prediction(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The next day's close, or 1 for a rise and 0 for none with the probability of a rise.

    A model that fails has an `erro` instead.
    """

    predicao: float | int | None = None
    probabilidade: float | None = None
    modelo: str
    tipo: Kind
    versao: str | None = None
    erro: str | None = None


class Outlook(msgspec.Struct):
    """All five models on a coin, after the day `ultimo_dado`: the last with a known price."""

    ativo: str
    timestamp: str
    modelos: dict[str, Prediction]
    total_modelos: int
    ultimo_dado: str
    dados_sinteticos: bool


def forecast(release: Release, rows: Sequence[Row]) -> list[float]:
    """Run one batch: returns of a regressor, probabilities of a rise of a classifier."""
    answers = release.predict(np.array(rows, dtype=np.float64))
    return [float(answer) for answer in answers.reshape(len(rows), -1)[:, -1]]


slots = {
    name: tracked(
        f"cripto-{name.replace('_', '-')}",
        Contract(
            inputs=dict.fromkeys(FEATURES, "double"),
            outputs=dict.fromkeys(OUTPUTS[kind], "double"),
        ),
        forecast,
    )
    for name, kind in MODELS.items()
}
coins = Coins(names.root())
mirror = Mirror(
    names.root(),
    settings().home / "cache" / ".prices",  # no model's folder begins with a dot
    lambda name: names.place(name) is not None,
    coins.update,
    settings().registry,
)


async def welcome(request: Request) -> Response:
    """`GET /`."""
    return to_json(WELCOME)


async def health(request: Request) -> Response:
    """`GET /health`."""
    live = versions()
    told = Health("healthy" if live else "unhealthy", bool(live), len(live), list(live), live)
    return to_json(told, 200 if live else 503)


async def models(request: Request) -> Response:
    """`GET /models`."""
    live = versions()
    since = [slot.live.since for slot in slots.values() if slot.live]
    return to_json(Models(len(live), list(live), live, stamp(max(since)) if since else None))


async def reload(request: Request) -> Response:
    """`GET /reload` and `POST /reload`."""
    before = versions()
    await app.reload()
    live = versions()
    if not live:
        raise Unavailable(NOT_LOADED)
    changed = {name: version for name, version in live.items() if before.get(name) != version}
    return to_json(Reloaded(RELOADED, len(live), list(live), changed))


async def symbol(request: Request) -> Response:
    """`GET /symbol/{ativo}`."""
    name = request.path_params.get("ativo", "").strip().upper()
    if not name:
        raise HTTPError(400, NO_SYMBOL)
    if not versions():
        raise Unavailable(NOT_LOADED)
    coin = find(name)
    told = await asyncio.gather(*(ask(model, coin) for model in MODELS))
    return to_json(
        Outlook(
            ativo=name,
            timestamp=stamp(datetime.now(UTC)),
            modelos={prediction.modelo: prediction for prediction in told},
            total_modelos=len(told),
            ultimo_dado=coin.last_day,
            dados_sinteticos=coin.synthetic,
        )
    )


def find(name: str) -> Coin:
    """A known coin. Raises HTTPError 404 with those that are, Unavailable when none is."""
    coin = coins.get(name)
    if coin:
        return coin
    if not coins.symbols:
        raise Unavailable(NO_PRICES)
    known = ", ".join(coins.symbols)
    raise HTTPError(404, f"Sem dados para o ativo {clip(name)}. Ativos conhecidos: {known}")


async def ask(model: str, coin: Coin) -> Prediction:
    """What one model says, or why it says nothing."""
    kind, slot = MODELS[model], slots[model]
    try:
        answered = await predict(slot, [coin.row], settings().services.request_timeout_seconds)
    except HTTPError as error:
        return Prediction(modelo=model, tipo=kind, erro=str(error.detail))
    except Exception as error:
        failure = unexpected(error, slot.name)
        return Prediction(modelo=model, tipo=kind, erro=str(failure.detail))
    version, value = answered.release.version.version, answered.answers[0]
    if kind == "regressor":
        price = coin.close * (1 + value)
        return Prediction(predicao=price, modelo=model, tipo=kind, versao=version)
    rises = int(value > 0.5)
    return Prediction(predicao=rises, probabilidade=value, modelo=model, tipo=kind, versao=version)


def versions() -> dict[str, str]:
    """The models that serve, and the version of each."""
    return {name: slot.live.version.version for name, slot in slots.items() if slot.live}


def stamp(time: datetime) -> str:
    """A time in UTC, as `2026-03-01T12:00:00.000Z`."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


RELOAD = {
    200: Answer("The models that serve now, and those that changed", Reloaded),
    503: Answer("No registry, or no version serves", Failure),
}
app = App(
    "cripto",
    "cripto",
    VERSION,
    list(slots.values()),
    routes=[
        Route("/", welcome),
        Route("/health", health),
        Route("/models", models),
        Route("/symbol", symbol),
        Route("/symbol/{ativo:path}", symbol),
        Route("/reload", reload, methods=["GET", "POST"]),
    ],
    operations=[
        Operation("GET", "/", "What this is", {200: Answer("A welcome", dict[str, str], WELCOME)}),
        Operation(
            "GET",
            "/symbol/{ativo}",
            "The next day of an asset, by five models",
            {
                200: Answer("Every model's prediction, or its `erro`", Outlook),
                400: Answer("The symbol is blank", Failure, Failure(NO_SYMBOL)),
                404: Answer("No price of this symbol is known; those that are", Failure),
                503: Answer("No version serves yet", Failure, Failure(NOT_LOADED)),
            },
        ),
        Operation(
            "GET",
            "/health",
            "Whether any model serves",
            {200: Answer("Some do", Health), 503: Answer("None does", Health)},
        ),
        Operation("GET", "/models", "The models that serve", {200: Answer("They", Models)}),
        Operation("GET", "/reload", "Look at the registry now", RELOAD),
        Operation("POST", "/reload", "Look at the registry now", RELOAD),
    ],
    feeds=[mirror],
    writes=[("GET", "/reload")],
)


@bentoml.asgi_app(app)
@bentoml.service(name="cripto", **quiet())
class Cripto(Served):
    """Tomorrow's price and direction of crypto assets."""

    apps = (app,)
