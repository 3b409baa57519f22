"""cripto: tomorrow's price and direction of crypto assets, by five models."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import bentoml
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from bentos.bento.service import OPTIONS, Served
from bentos.cripto.coins import Coin, Coins, Row
from bentos.cripto.contracts import CONTRACTS
from bentos.cripto.messages import (
    MODELS,
    NO_PRICES,
    NO_SYMBOL,
    NOT_LOADED,
    RELOADED,
    WELCOME,
    Health,
    Models,
    Outlook,
    Prediction,
    Reloaded,
)
from bentos.cripto.mirror import Mirror
from bentos.serving.release import Release
from bentos.settings import Settings
from bentos.web.app import App, to_json
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import Answer, Endpoint, models
from bentos.web.errors import Failure, HTTPError, Unavailable, clip, unexpected
from bentos.web.following import Following
from bentos.web.hot import predict
from bentos.web.slots import tracked
from training.cripto import names


def forecast(release: Release, rows: Sequence[Row]) -> list[float]:
    """Run one batch: returns of a regressor, probabilities of a rise of a classifier."""
    answers = release.predict(np.array(rows, dtype=np.float64))
    return [float(answer) for answer in answers.reshape(len(rows), -1)[:, -1]]


class Outlooks:
    """Five models, the prices that they start from, and what is asked of them."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.services.request_timeout_seconds
        self.slots = {
            name: tracked(settings, model, contract, forecast)
            for name, (model, contract) in zip(MODELS, CONTRACTS.items(), strict=True)
        }
        self.coins = Coins(names.root())
        mirror = Mirror(
            names.root(),
            settings.home / "cache" / ".prices",  # no model's folder begins with a dot
            lambda name: names.place(name) is not None,
            self.coins.update,
            settings.registry,
        )
        self.following = Following([*self.slots.values()], feeds=[mirror])

    @property
    def endpoints(self) -> list[Endpoint]:
        """What the service answers."""
        outlook = Endpoint(
            "GET",
            "/symbol/{ativo:path}",
            self.symbol,
            "The next day of an asset, by five models",
            {
                200: Answer("Every model's prediction, or its `erro`", Outlook),
                400: Answer("The symbol is blank", Failure, Failure(NO_SYMBOL)),
                404: Answer("No price of this symbol is known; those that are", Failure),
                503: Answer("No version serves yet", Failure, Failure(NOT_LOADED)),
            },
        )
        reload = Endpoint(
            "GET",
            "/reload",
            self.reload,
            "Look at the registry now",
            {
                200: Answer("The models that serve now, and those that changed", Reloaded),
                503: Answer("No registry, or no version serves", Failure),
            },
            access="admins",
        )
        some = {200: Answer("Some do", Health), 503: Answer("None does", Health)}
        welcome = {200: Answer("A welcome", dict[str, str], WELCOME)}
        return [
            Endpoint("GET", "/", self.welcome, "What this is", welcome),
            replace(outlook, path="/symbol", include_in_schema=False),
            outlook,
            Endpoint("GET", "/health", self.health, "Whether any model serves", some),
            models(self.models, Models),
            reload,
            replace(reload, method="POST"),
        ]

    async def welcome(self, request: Request) -> Response:
        """`GET /`."""
        return to_json(WELCOME)

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        live = self.versions()
        health = Health("healthy" if live else "unhealthy", bool(live), len(live), [*live], live)
        return to_json(health, 200 if live else 503)

    async def models(self, request: Request) -> Response:
        """`GET /models`."""
        live = self.versions()
        since = [slot.live.since for slot in self.slots.values() if slot.live]
        return to_json(Models(len(live), [*live], live, stamp(max(since)) if since else None))

    async def reload(self, request: Request) -> Response:
        """`GET /reload` and `POST /reload`."""
        before = self.versions()
        await self.following.reload()
        live = self.versions()
        if not live:
            raise Unavailable(NOT_LOADED)
        changed = {name: version for name, version in live.items() if before.get(name) != version}
        return to_json(Reloaded(RELOADED, len(live), [*live], changed))

    async def symbol(self, request: Request) -> Response:
        """`GET /symbol/{ativo}`."""
        name = request.path_params.get("ativo", "").strip().upper()
        if not name:
            raise HTTPError(400, NO_SYMBOL)
        if not self.versions():
            raise Unavailable(NOT_LOADED)
        coin = self.find(name)
        predictions = await asyncio.gather(*(self.ask(model, coin) for model in MODELS))
        return to_json(
            Outlook(
                ativo=name,
                timestamp=stamp(datetime.now(UTC)),
                modelos={prediction.modelo: prediction for prediction in predictions},
                total_modelos=len(predictions),
                ultimo_dado=coin.last_day,
                dados_sinteticos=coin.synthetic,
            )
        )

    def find(self, name: str) -> Coin:
        """A known coin. Raises HTTPError 404 with those that are, Unavailable when none is."""
        coin = self.coins.get(name)
        if coin:
            return coin
        if not self.coins.symbols:
            raise Unavailable(NO_PRICES)
        known = ", ".join(self.coins.symbols)
        raise HTTPError(404, f"Sem dados para o ativo {clip(name)}. Ativos conhecidos: {known}")

    async def ask(self, model: str, coin: Coin) -> Prediction:
        """What one model says, or why it says nothing."""
        kind, slot = MODELS[model], self.slots[model]
        try:
            answered = await predict(slot, [coin.row], self._timeout)
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
        return Prediction(
            predicao=rises, probabilidade=value, modelo=model, tipo=kind, versao=version
        )

    def versions(self) -> dict[str, str]:
        """The models that serve, and the version of each."""
        live = {name: slot.live for name, slot in self.slots.items()}
        return {name: release.version.version for name, release in live.items() if release}


def stamp(time: datetime) -> str:
    """A time in UTC, as `2026-03-01T12:00:00.000Z`."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    outlooks = Outlooks(settings)
    return App("cripto", outlooks.endpoints, outlooks.following, gate or Gate(settings))


@bentoml.service(name="cripto", **OPTIONS)
class Cripto(Served, build=build):
    """Tomorrow's price and direction of crypto assets."""
