"""itransformer: forecasts of many series at once, by models that clients train or bring along."""

from collections.abc import Sequence

import bentoml
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from bentos.bento.service import OPTIONS, Served
from bentos.itransformer import calls, forecasts
from bentos.itransformer.admin import AdminKey
from bentos.itransformer.catalog import Catalog
from bentos.itransformer.jobs import Jobs
from bentos.itransformer.messages import BAD, EXAMPLE, NO_MODEL, Forecast
from bentos.itransformer.models import Models, Slots, unknown
from bentos.itransformer.runner import Runner
from bentos.itransformer.trainings import Trainings
from bentos.registry.runs import Runs
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.waiting import Answered
from bentos.settings import Settings
from bentos.web.app import App, to_json
from bentos.web.auth.gate import Gate
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import HTTPError
from bentos.web.following import Following
from bentos.web.headers import VERSION_HEADER
from bentos.web.hot import Quick, predict, version_headers
from bentos.web.slots import racked
from training.errors import InputError
from training.itransformer.frames import Series
from training.itransformer.names import PREFIX

Floats = NDArray[np.float64]


def infer(release: Release, windows: Sequence[Series]) -> list[Floats]:
    """Run one batch: of each call's rows the forecast (pred_len, columns)."""
    columns, seq_len = release.metadata["columns"], release.metadata["seq_len"]
    return list(release.predict(np.stack([rows.window(columns, seq_len) for rows in windows])))


class Forecasts:
    """What is asked of the models that serve."""

    def __init__(self, settings: Settings, slots: Slots, following: Following) -> None:
        self._body_bytes = settings.limits.body_bytes
        self._timeout = settings.services.request_timeout_seconds
        self._longest = settings.services.longest_seconds
        self._slots = slots
        self._following = following
        self._read = calls.Calls(calls.Predict)

    @property
    def endpoint(self) -> Endpoint:
        """Where a forecast is asked for."""
        return Endpoint(
            "POST",
            "/predict",
            Quick("itransformer", "/predict", self.predictions, self._longest),
            "The rows that follow",
            {200: Answer("As many as `points`", Forecast), **BAD, **NO_MODEL, **NOT_READY},
            description=f"The header {VERSION_HEADER} tells which release answered.",
            body=calls.Predict,
            examples={"one row of many": EXAMPLE | {"points": 24}},
        )

    async def predictions(self, request: Request) -> Response:
        """`POST /predict`."""
        body = await read(request.scope, request.receive, self._body_bytes)
        call = await run_sync(self._read, body)
        calls.rows(call)
        slot = await self._following.slot(self._slots, calls.name(call))
        if slot is None:
            raise HTTPError(404, unknown(self._slots, call.model_name))
        given = await run_sync(calls.given, call)
        answered = await self._ask(slot, forecasts.windows(call, given.series, slot.live))
        release, found = answered.release, answered.answers
        answer = to_json(await run_sync(forecasts.answer, call, given, release, found))
        answer.headers.update(version_headers(answered))
        return answer

    async def _ask(self, slot: Slot[Series, Floats], windows: list[Series]) -> Answered[Floats]:
        """Ask a slot. Raises HTTPError 400 for rows that its model cannot take."""
        try:
            return await predict(slot, windows, self._timeout)
        except InputError as error:
            if len(windows) > 1:  # a release that takes longer windows may have taken over
                return await self._ask(slot, windows[:1])
            raise calls.bad(error) from None


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    gate = gate or Gate(settings)
    slots = racked(settings, PREFIX, infer)
    following = Following(racks=[slots])
    runs = Runs(settings.tracking_uri, settings.registry.timeout_seconds)
    catalog = Catalog(runs, settings)
    jobs = Jobs(runs, settings.home / "jobs", settings.jobs.queued)
    runner = Runner(jobs, settings.jobs, following.wake)  # a job may have promoted its version
    following.feeds.append(runner)
    key = AdminKey(settings, gate)
    endpoints = [
        *Trainings(settings, jobs, runner, catalog, slots).endpoints(key),
        Forecasts(settings, slots, following).endpoint,
        *Models(settings, catalog).endpoints(key),
    ]
    return App("itransformer", endpoints, following, gate)


@bentoml.service(name="itransformer", **OPTIONS)
class ITransformer(Served, build=build):
    """Forecasts by models that clients train."""
