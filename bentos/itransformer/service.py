"""itransformer: forecasts of many series at once, by models that clients train or bring along."""

import asyncio
from collections.abc import Sequence
from typing import Any

import bentoml
import msgspec
import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bentos.bento.service import Served, quiet, racked
from bentos.itransformer import calls, uploads
from bentos.itransformer.catalog import Catalog
from bentos.itransformer.doors import Kind, ask, keyed, need_mlflow, protected
from bentos.itransformer.jobs import Job, Jobs, told
from bentos.itransformer.messages import (
    OPERATIONS,
    Accepted,
    Cleared,
    Deleted,
    Forecast,
    Installed,
    Listing,
    Queue,
)
from bentos.itransformer.runner import Runner
from bentos.registry.runs import Run, Runs
from bentos.serving.batching import Answered
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import TRAINING, settings
from bentos.web.app import App, to_json
from bentos.web.auth.guard import Place
from bentos.web.body import read, read_json
from bentos.web.errors import HTTPError, clip
from bentos.web.hot import predict, version_headers
from training.errors import InputError
from training.itransformer.frames import Series
from training.itransformer.names import FINE_TUNING, PREFIX, TRAIN
from training.itransformer.settings import Settings as Training
from training.settings import read_settings

Floats = NDArray[np.float64]

CANCEL_SECONDS = 5.0
LOOK_SECONDS = 0.2

WRITES: dict[Place, Kind] = {
    ("POST", "/train"): "training",
    ("POST", "/fine_tuning"): "training",
    ("DELETE", "/jobs/{job_id}"): "deletes",
    ("POST", "/upload_model"): "uploads",
    ("DELETE", "/delete_model/{model_name:path}"): "deletes",
    ("DELETE", "/clear_all_models"): "everything",
}


def infer(release: Release, windows: Sequence[Series]) -> list[Floats]:
    """Run one batch: of each call's rows the forecast (pred_len, columns)."""
    columns, seq_len = release.metadata["columns"], release.metadata["seq_len"]
    return list(release.predict(np.stack([rows.window(columns, seq_len) for rows in windows])))


def wake() -> None:
    """Look at the registry: a job has ended, and may have promoted its version."""
    if app.watcher:
        app.watcher.wake()


rack = racked(PREFIX, infer)
runs = Runs(settings().tracking_uri, settings().registry.timeout_seconds)
catalog = Catalog(runs, settings())
jobs = Jobs(runs, settings().home / "jobs", settings().jobs.queued)
runner = Runner(jobs, settings().jobs, wake)
usual = read_settings("itransformer", Training, TRAINING).recipe
installing = CapacityLimiter(1)
read_train, read_fine_tune = calls.Calls(calls.Train), calls.Calls(calls.FineTune)
read_predict, read_named = calls.Calls(calls.Predict), calls.Calls(calls.Named)


async def train(request: Request) -> Response:
    """`POST /train`."""
    body = await read_json(request.scope, request.receive, settings().jobs.body_bytes)
    call, series = await run_sync(calls.opened, read_train, body)
    recipe = calls.recipe(call, usual)
    await run_sync(calls.check_training, series, recipe)
    return await accept(TRAIN, call, call.changes())


async def fine_tuning(request: Request) -> Response:
    """`POST /fine_tuning`."""
    body = await read_json(request.scope, request.receive, settings().jobs.body_bytes)
    call, series = await run_sync(calls.opened, read_fine_tune, body)
    slot = rack.get(call.model_name)
    if slot and slot.live:
        await run_sync(calls.check_fine_tuning, series, slot.live)
    elif not await ask(catalog.holds, call.model_name):
        raise HTTPError(404, unknown(call.model_name))
    return await accept(FINE_TUNING, call, {})


async def accept(kind: str, call: calls.FineTune, request: dict[str, Any]) -> Response:
    """Store a job, and say so."""
    need_mlflow()
    name = calls.name(call)
    data = await run_sync(calls.table, call)
    stored = msgspec.json.encode(request)
    job_id = await ask(jobs.add, kind, name, call.promote, stored, data)
    runner.wake()
    return to_json(Accepted.of(kind, name, job_id), 202)


async def all_jobs(request: Request) -> Response:
    """`GET /jobs`."""
    found = [job_of(run) for run in await ask(jobs.all)]
    return to_json(Queue(found, len(found)))


async def one_job(request: Request) -> Response:
    """`GET /jobs/{job_id}`."""
    return to_json(job_of(await ask(jobs.get, request.path_params["job_id"])))


def job_of(run: Run) -> Job:
    """A run as a job, with whether its version serves here."""
    job = told(run)
    slot = rack.get(job.model_name)
    live = slot.live.version.version if slot and slot.live else None
    return msgspec.structs.replace(job, serves=job.version == live) if job.version else job


async def cancel(request: Request) -> Response:
    """`DELETE /jobs/{job_id}`: 202 when the training takes its time to end."""
    job_id = request.path_params["job_id"]
    run = await ask(jobs.get, job_id)
    if (state := told(run).status) != "running":
        raise HTTPError(409, f"The job {job_id} is {state} already")
    await ask(jobs.cancel, run)
    runner.wake()
    for _ in range(int(CANCEL_SECONDS / LOOK_SECONDS)):
        job = told(await ask(jobs.get, job_id))
        if job.status != "running":
            return to_json(job)
        await asyncio.sleep(LOOK_SECONDS)
    return to_json(job, 202)


async def predictions(request: Request) -> Response:
    """`POST /predict`."""
    body = await read(request.scope, request.receive, settings().limits.body_bytes)
    call = await run_sync(read_predict, body)
    calls.rows(call)
    slot = await app.slot(rack, calls.name(call))
    if slot is None:
        raise HTTPError(404, unknown(call.model_name))
    series = await run_sync(calls.series, call)
    answered = await forecast(slot, series)
    release, (values,) = answered.release, answered.answers
    following = await run_sync(calls.following, call, series, release, values)
    answer = to_json(Forecast("success", call.model_name, release.version.version, following))
    answer.headers.update(version_headers(answered))
    return answer


async def forecast(slot: Slot[Series, Floats], series: Series) -> Answered[Floats]:
    """Ask a slot. Raises HTTPError 400 for rows that its model cannot take."""
    try:
        return await predict(slot, [series], settings().services.request_timeout_seconds)
    except InputError as error:
        raise calls.bad(error) from None


async def upload(request: Request) -> Response:
    """`POST /upload_model`."""
    need_mlflow()
    bounds = settings().uploads
    async with uploads.limited(request, bounds.body_bytes).form(max_files=1) as form:
        name, file = uploads.zip_file(form)
        fields = uploads.fields(form)
        home = settings().home
        files = await run_sync(uploads.install, file, fields, home, bounds, limiter=installing)
    return to_json(Installed.of(name, files))


async def download(request: Request) -> Response:
    """`POST /download_model`."""
    call = read_named(await read(request.scope, request.receive, settings().limits.body_bytes))
    name = calls.name(call)
    file, size = await ask(catalog.pack, name, settings().home)
    headers = {
        "content-disposition": f'attachment; filename="{name}_complete.zip"',
        "content-length": str(size),
    }
    return StreamingResponse(uploads.chunks(file), headers=headers, media_type="application/zip")


async def list_models(request: Request) -> Response:
    """`GET /list_models`."""
    models = await ask(catalog.listed)
    return to_json(Listing(models, len(models)))


async def delete_model(request: Request) -> Response:
    """`DELETE /delete_model/{model_name}`."""
    name = request.path_params["model_name"]
    calls.check_name(name)
    return to_json(Deleted.of(name, await ask(catalog.delete, name)))


async def clear_all(request: Request) -> Response:
    """`DELETE /clear_all_models`."""
    for name in await ask(catalog.names):
        await ask(catalog.delete, name)
    return to_json(Cleared())


def unknown(name: str) -> str:
    """That no such model is promoted, and which are."""
    known = ", ".join(rack.name(slot) for slot in rack.slots if slot.live) or "none yet"
    return f"No model {name!r} is in production. Those that are: {clip(known)}"


app = App(
    "itransformer",
    "itransformer",
    "1",
    [],
    routes=[
        Route("/train", keyed("training", train), methods=["POST"]),
        Route("/fine_tuning", keyed("training", fine_tuning), methods=["POST"]),
        Route("/jobs", all_jobs),
        Route("/jobs/{job_id}", one_job, methods=["GET"]),
        Route("/jobs/{job_id}", keyed("deletes", cancel), methods=["DELETE"]),
        Route("/predict", predictions, methods=["POST"]),
        Route("/upload_model", keyed("uploads", upload), methods=["POST"]),
        Route("/download_model", download, methods=["POST"]),
        Route("/list_models", list_models),
        Route(
            "/delete_model/{model_name:path}",
            keyed("deletes", delete_model),
            methods=["DELETE"],
        ),
        Route("/clear_all_models", keyed("everything", clear_all), methods=["DELETE"]),
    ],
    operations=OPERATIONS,
    feeds=[runner],
    racks=[rack],
    writes=WRITES,
    keyed=[place for place, kind in WRITES.items() if kind in protected()],
)


@bentoml.asgi_app(app)
@bentoml.service(name="itransformer", **quiet())
class ITransformer(Served):
    """Forecasts by models that clients train."""

    apps = (app,)
