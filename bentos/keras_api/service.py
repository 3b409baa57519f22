"""keras_api: any number of neural networks, by the name that a call gives."""

from collections.abc import Sequence
from datetime import UTC, datetime

import bentoml
import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from bentos.bento.service import OPTIONS, Served
from bentos.keras_api.answers import Answers
from bentos.keras_api.messages import (
    Call,
    Cleared,
    Health,
    Models,
    Prediction,
    Record,
    Row,
    Stats,
    bounded,
)
from bentos.keras_api.tally import Tally
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import Settings
from bentos.web.app import App, to_json
from bentos.web.auth.gate import Gate
from bentos.web.body import Decoder, read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint, models
from bentos.web.errors import Failure, HTTPError, clip
from bentos.web.following import Following
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.hot import Quick, predict
from bentos.web.slots import racked

CACHE_HEADER = "x-cache"
SHOWN_CALLS = 100


class Kept(msgspec.Struct, array_like=True):
    """What the cache keeps of a prediction."""

    predictions: list[list[float]]
    confidence: list[float]


class Unanswerable(ValueError):
    """A row that the model cannot take."""


def infer(release: Release, rows: Sequence[Row]) -> list[NDArray[np.float64]]:
    """Run one batch: of each row the predictions, and the confidence as the last number."""
    check_width(release, rows)  # again, as the live release may have changed
    return list(release.predict(np.array(rows, dtype=np.float64)))


def check_width(release: Release, rows: Sequence[Row]) -> None:
    """Raise Unanswerable for the first row that has not as many numbers as the model takes."""
    (width,) = release.row_shape
    for index, row in enumerate(rows):
        if len(row) != width:
            raise Unanswerable(f"data[{index}] has {len(row)} numbers; {release} takes {width}")


class Networks:
    """Networks, the answers that are kept of them, and what is asked of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._call = bounded(settings.limits.rows_per_call)
        self._decode: Decoder[Call] = Decoder(self._call)
        self.rack = racked(settings, "keras-", infer)
        self.following = Following(racks=[self.rack])
        self.answers = Answers(settings.answers, settings.home)
        self.tally = Tally(settings.home / "keras_api.db")
        seconds = settings.services.longest_seconds
        self._door = Quick("keras_api", "/predict", self.predictions, seconds)

    @property
    def endpoints(self) -> list[Endpoint]:
        """What the service answers."""
        well = {200: Answer("It does", Health)}
        return [
            Endpoint(
                "POST",
                "/predict",
                self._door,
                "Predictions for rows, and how much each row is like the training's",
                {
                    200: Answer("As many answers, in order", Prediction),
                    400: Answer("A row has not the model's width, or is too far out", Failure),
                    404: Answer("No such model is in production", Failure),
                    **NOT_READY,
                },
                description=f"The header {VERSION_HEADER} tells which version answered, "
                f"{CACHE_HEADER} whether its answer was kept from before.",
                body=self._call,
                examples={"one": {"data": [[0.1] * 10], "model_id": "default"}},
            ),
            Endpoint(
                "GET", "/stats", self.stats, "What was answered", {200: Answer("Counts", Stats)}
            ),
            models(self.models, Models),
            Endpoint("GET", "/health", self.health, "Whether it answers", well),
            Endpoint(
                "POST",
                "/cache/clear",
                self.clear,
                "Forget the kept answers",
                {200: Answer("They are forgotten, in every worker", Cleared)},
                access="admins",
            ),
        ]

    async def predictions(self, request: Request) -> Response:
        """`POST /predict`."""
        most = self._settings.limits.body_bytes
        call = self._decode(await read(request.scope, request.receive, most))
        slot = await self.following.slot(self.rack, call.model_id)
        if slot is None:
            raise HTTPError(404, self.unknown(call.model_id))
        try:
            kept, version, hit = await self.recall(slot, call.data)
        except Unanswerable as error:
            raise HTTPError(400, str(error)) from None
        mean = sum(kept.confidence) / len(kept.confidence)
        await self.tally.add(call.model_id, len(call.data), mean)
        answer = to_json(Prediction(kept.predictions, kept.confidence, call.model_id, now()))
        answer.headers[VERSION_HEADER] = spelled(version)
        answer.headers[CACHE_HEADER] = "hit" if hit else "miss"
        return answer

    async def recall(
        self, slot: Slot[Row, NDArray[np.float64]], rows: list[Row]
    ) -> tuple[Kept, str, bool]:
        """The answer, kept or new, with the version that gave it, and whether it was kept.

        A kept answer counts only while the release that gave it is live.
        """
        while (live := slot.live) is not None:
            check_width(live, rows)
            content = np.array(rows, dtype=np.float64).tobytes()  # its width is the version's
            key = await self.answers.key(live.version, content)
            body = await self.answers.get(key)
            if slot.live is not live:
                continue
            if body is not None:
                return msgspec.msgpack.decode(body, type=Kept), str(live), True
            kept, release = await self.ask(slot, rows)
            if release is live:
                await self.answers.put(key, msgspec.msgpack.encode(kept))
            return kept, str(release), False
        kept, release = await self.ask(slot, rows)  # which waits for one on its way, or says so
        return kept, str(release), False

    async def ask(
        self, slot: Slot[Row, NDArray[np.float64]], rows: list[Row]
    ) -> tuple[Kept, Release]:
        """A new answer. Raises Unanswerable where the model gives no finite number."""
        seconds = self._settings.services.request_timeout_seconds
        answered = await predict(slot, rows, seconds)
        table = np.array(answered.answers)
        odd = np.flatnonzero(~np.isfinite(table).all(axis=1))
        if odd.size:
            raise Unanswerable(
                f"data[{odd[0]}] is too far out: {answered.release} gives no finite number for it"
            )
        return Kept(table[:, :-1].tolist(), table[:, -1].tolist()), answered.release

    async def stats(self, request: Request) -> Response:
        """`GET /stats`."""
        calls = sorted(await self.tally.recent(SHOWN_CALLS), key=lambda call: call.at)
        history = [
            Record(c.at.removesuffix("+00:00"), c.model_id, c.rows, c.mean_confidence)
            for c in calls
        ]
        uptime = datetime.now(UTC).timestamp() - psutil.Process().create_time()
        total = await self.tally.total()
        return to_json(Stats(now(), len(self.serving()), total, uptime, history))

    async def models(self, request: Request) -> Response:
        """`GET /models`."""
        return to_json(Models(self.serving(), len(self.serving()), now()))

    async def health(self, request: Request) -> Response:
        """`GET /health`."""
        return to_json(Health("healthy", now(), len(self.serving())))

    async def clear(self, request: Request) -> Response:
        """`POST /cache/clear`."""
        await self.answers.clear()
        return to_json(Cleared("cache cleared", now()))

    def serving(self) -> list[str]:
        """The models that serve."""
        return [self.rack.name(slot) for slot in self.rack.slots if slot.live]

    def unknown(self, model_id: str) -> str:
        """That no such model is promoted, and which are."""
        known = ", ".join(self.serving()) or "none yet"
        return f"No model {clip(model_id)!r} is in production. Those that are: {known}"


def now() -> str:
    """The time in UTC, as `2024-01-15T10:30:45.123456`."""
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    networks = Networks(settings)
    return App("keras_api", networks.endpoints, networks.following, gate or Gate(settings))


@bentoml.service(name="keras_api", **OPTIONS)
class KerasApi(Served, build=build):
    """Any number of neural networks, behind a token."""
