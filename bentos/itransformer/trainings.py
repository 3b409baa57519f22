"""Trainings that clients ask for: they are stored as jobs, looked at, and cancelled."""

import asyncio
from typing import Any

import msgspec
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from bentos.itransformer import calls
from bentos.itransformer.admin import AdminKey
from bentos.itransformer.catalog import Catalog
from bentos.itransformer.doors import ask, need_mlflow
from bentos.itransformer.jobs import Job, Jobs, describe
from bentos.itransformer.messages import BAD, DOWN, EXAMPLE, NO_MODEL, Accepted, Queue
from bentos.itransformer.models import Slots, unknown
from bentos.itransformer.runner import Runner
from bentos.registry.runs import Run
from bentos.settings import TRAINING, Settings
from bentos.web.app import to_json
from bentos.web.body import read_json
from bentos.web.endpoint import Answer, Endpoint
from bentos.web.errors import Failure, HTTPError
from training.itransformer.names import FINE_TUNING, TRAIN
from training.itransformer.settings import Settings as Training
from training.settings import read_settings

CANCEL_SECONDS = 5.0
LOOK_SECONDS = 0.2
NO_JOB = {404: Answer("There is no such job", Failure)}
FULL = {503: Answer("As many jobs wait as may, or MLflow does not answer", Failure)}


class Trainings:
    """What is asked of jobs; `runner` carries them out."""

    def __init__(
        self, settings: Settings, jobs: Jobs, runner: Runner, catalog: Catalog, slots: Slots
    ) -> None:
        self._limit = settings.jobs.body_bytes
        self._jobs = jobs
        self._runner = runner
        self._catalog = catalog
        self._slots = slots
        self._usual = read_settings("itransformer", Training, TRAINING).recipe
        self._read_train = calls.Calls(calls.Train)
        self._read_fine_tune = calls.Calls(calls.FineTune)

    def endpoints(self, key: AdminKey) -> list[Endpoint]:
        """Those for jobs, protected by a key."""
        accepted = {202: Answer("It is stored, and waits for its turn", Accepted), **BAD, **FULL}
        train = Endpoint(
            "POST",
            "/train",
            self.train,
            "Train a model, in the background",
            accepted,
            description="Its columns are those of the rows, beside `date`. The first version of "
            "a model is promoted by itself, later ones if `promote` is true.",
            body=calls.Train,
            examples={"one row of many": EXAMPLE},
        )
        fine_tuning = Endpoint(
            "POST",
            "/fine_tuning",
            self.fine_tuning,
            "Let a model learn a little from new rows: a new version",
            accepted | NO_MODEL,
            body=calls.FineTune,
            examples={"one row of many": EXAMPLE},
        )
        found = {200: Answer("They", Queue), **DOWN}
        return [
            key.protect("training", train),
            key.protect("training", fine_tuning),
            Endpoint("GET", "/jobs", self.all_jobs, "The newest jobs", found),
            *self._job(key),
        ]

    def _job(self, key: AdminKey) -> list[Endpoint]:
        found = {200: Answer("It", Job), **NO_JOB, **DOWN}
        ended = {
            200: Answer("It is cancelled", Job),
            202: Answer("It will end soon", Job),
            409: Answer("It ended before", Failure),
            **NO_JOB,
            **DOWN,
        }
        cancel = Endpoint("DELETE", "/jobs/{job_id}", self.cancel, "Cancel a job", ended)
        return [
            Endpoint("GET", "/jobs/{job_id}", self.one_job, "A job", found),
            key.protect("deletes", cancel),
        ]

    async def train(self, request: Request) -> Response:
        """`POST /train`."""
        body = await read_json(request.scope, request.receive, self._limit)
        call, given = await run_sync(calls.opened, self._read_train, body)
        recipe = calls.recipe(call, self._usual)
        await run_sync(calls.check_training, given.series, recipe)
        return await self._accept(TRAIN, call, given, call.changes())

    async def fine_tuning(self, request: Request) -> Response:
        """`POST /fine_tuning`."""
        body = await read_json(request.scope, request.receive, self._limit)
        call, given = await run_sync(calls.opened, self._read_fine_tune, body)
        slot = self._slots.get(call.model_name)
        if slot and slot.live:
            await run_sync(calls.check_fine_tuning, given.series, slot.live)
        elif not await ask(self._catalog.holds, call.model_name):
            raise HTTPError(404, unknown(self._slots, call.model_name))
        return await self._accept(FINE_TUNING, call, given, {})

    async def _accept(
        self, kind: str, call: calls.FineTune, given: calls.Given, request: dict[str, Any]
    ) -> Response:
        """Store a job, and say so."""
        need_mlflow()
        name = calls.name(call)
        data = await run_sync(lambda: given.parquet)
        stored = msgspec.json.encode(request)
        job_id = await ask(self._jobs.add, kind, name, call.promote, stored, data)
        self._runner.wake()
        return to_json(Accepted.of(kind, name, job_id, given.said), 202)

    async def all_jobs(self, request: Request) -> Response:
        """`GET /jobs`."""
        found = [self._seen(run) for run in await ask(self._jobs.all)]
        return to_json(Queue(found, len(found)))

    async def one_job(self, request: Request) -> Response:
        """`GET /jobs/{job_id}`."""
        return to_json(self._seen(await ask(self._jobs.get, request.path_params["job_id"])))

    def _seen(self, run: Run) -> Job:
        """A run as a job, with whether its version serves here."""
        job = describe(run)
        slot = self._slots.get(job.model_name)
        live = slot.live.version.version if slot and slot.live else None
        return msgspec.structs.replace(job, serves=job.version == live) if job.version else job

    async def cancel(self, request: Request) -> Response:
        """`DELETE /jobs/{job_id}`: 202 when the training takes its time to end."""
        job_id = request.path_params["job_id"]
        run = await ask(self._jobs.get, job_id)
        if (state := describe(run).status) != "running":
            raise HTTPError(409, f"The job {job_id} is {state} already")
        await ask(self._jobs.cancel, run)
        self._runner.wake()
        for _ in range(int(CANCEL_SECONDS / LOOK_SECONDS)):
            job = describe(await ask(self._jobs.get, job_id))
            if job.status != "running":
                return to_json(job)
            await asyncio.sleep(LOOK_SECONDS)
        return to_json(job, 202)
