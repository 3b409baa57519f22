"""Jobs: runs that somebody else made and scheduled, carried out one to a process."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

import mlflow
from mlflow import MlflowClient
from training import tracking
from training.data import read_dataset
from training.errors import InputError, TrainingError
from training.itransformer import names
from training.itransformer.frames import from_dataset
from training.itransformer.plan import plan_training
from training.itransformer.recipe import Cancelled
from training.itransformer.settings import Recipe, Settings
from training.itransformer.train import carry_out, plan_going_on

LONGEST_ERROR = 500  # characters of an error that was not foreseen


def work(run_id: str, settings: Settings, stopped: Callable[[], bool]) -> None:
    """Carry out a scheduled job; its run ends FINISHED, FAILED or KILLED, whichever is true.

    Raises what went wrong; `Cancelled` when `stopped` said so before the training was done.
    """
    be_modest(settings)
    tracking.connect(settings.experiment)
    run = MlflowClient().get_run(run_id)
    if run.info.status != "SCHEDULED":
        raise InputError(f"The run {run_id} is {run.info.status}: only a SCHEDULED one can begin.")
    with ending_truly(run_id):
        version = carry_out_job(run, settings, stopped)
        mlflow.set_tag(names.VERSION, version.version)
        if run.data.tags.get(names.PROMOTE) == "true" or is_first(version):
            tracking.promote(version)


@contextmanager
def ending_truly(run_id: str) -> Iterator[None]:
    """Let a run be RUNNING, and note on it how that ended."""
    mlflow.start_run(run_id=run_id)
    try:
        yield
    except (Cancelled, KeyboardInterrupt):
        mlflow.end_run("KILLED")
        raise
    except BaseException as error:
        mlflow.set_tag(names.ERROR, in_one_line(error))
        mlflow.end_run("FAILED")
        raise
    mlflow.end_run("FINISHED")


def in_one_line(error: BaseException) -> str:
    """Say what went wrong in one line."""
    if isinstance(error, TrainingError):
        return str(error.message)
    return f"{type(error).__name__}: {error}".splitlines()[0][:LONGEST_ERROR]


def carry_out_job(run: Run, settings: Settings, stopped: Callable[[], bool]) -> ModelVersion:
    """Do what the tags of a run ask for, with what lies in its artifacts."""
    if stopped():
        raise Cancelled
    name, kind = (run.data.tags.get(tag, "") for tag in (names.MODEL, names.KIND))
    with tempfile.TemporaryDirectory() as folder:
        request = fetch(run, names.REQUEST, folder).read_bytes()
        dataset = replace(read_dataset(str(fetch(run, names.DATA, folder))), source="data")
    series = from_dataset(dataset)
    if kind == names.FINE_TUNING:
        plan = plan_going_on(name, series, settings)
    else:
        plan = plan_training(series, recipe(request, settings))
    return carry_out(name, plan, dataset, stopped)


def fetch(run: Run, path: str, folder: str) -> Path:
    """Download an artifact of a run."""
    return Path(MlflowClient().download_artifacts(run.info.run_id, path, folder))


def recipe(request: bytes, settings: Settings) -> Recipe:
    """The usual recipe with what a request changes. Raises `InputError` naming the field."""
    try:
        changes = msgspec.json.decode(request, type=dict[str, object])
        return msgspec.convert(msgspec.structs.asdict(settings.recipe) | changes, type=Recipe)
    except msgspec.DecodeError as error:  # of which a ValidationError is one
        raise InputError(f"{names.REQUEST}: {error}.") from error


def is_first(version: ModelVersion) -> bool:
    """Whether a model has no other version."""
    return len(MlflowClient().search_model_versions(f"name='{version.name}'")) == 1


def be_modest(settings: Settings) -> None:
    """Leave the machine to the services that answer calls beside this process."""
    torch.set_num_threads(settings.threads)
    os.nice(settings.niceness)
    # Linux may weigh whole sessions: then niceness counts for nothing against other sessions.
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(settings.niceness))
