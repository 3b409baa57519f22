"""Jobs as the service makes them, each in a process of its own, against a real MLflow server."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

import mlflow
from mlflow import MlflowClient
from tests.stack import wait_for
from training.data import Dataset
from training.errors import InputError
from training.itransformer import jobs
from training.itransformer.names import EXPERIMENT
from training.itransformer.recipe import never
from training.itransformer.settings import Settings


@pytest.fixture
def schedule(registry: MlflowClient, made: Dataset, tmp_path: Path) -> Callable[..., str]:
    """Make a job, as the service does."""

    def make(
        model: str,
        kind: str = "train",
        table: pd.DataFrame = made.table,
        promote: bool = False,
        **request: Any,
    ) -> str:
        mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
        experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
        tags = {"job.kind": kind, "job.model": model, "job.promote": str(promote).lower()}
        run_id = str(registry.create_run(experiment, tags=tags).info.run_id)
        (tmp_path / "request.json").write_bytes(msgspec.json.encode(request))
        table.to_parquet(tmp_path / "data.parquet")
        for name in ("request.json", "data.parquet"):
            registry.log_artifact(run_id, str(tmp_path / name), "job")
        registry.update_run(run_id, status="SCHEDULED")
        return run_id

    return make


def start(run_id: str, config: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training.itransformer", "work", run_id, "--config", config]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def work(run_id: str, settings: Settings) -> None:
    """Carry out a job here: a process of its own takes seconds to start."""
    jobs.work(run_id, settings, never)


def stage(registry: MlflowClient, job: str, model: str) -> str:
    number = registry.get_run(job).data.tags["job.version"]
    version = registry.get_model_version(f"itransformer-{model}", number)
    assert version.run_id == job
    return str(version.current_stage)


def test_a_first_version_is_promoted_and_later_ones_when_asked(
    registry: MlflowClient, schedule: Callable[..., str], config: str, small: Settings
) -> None:
    made = [
        schedule("line", epochs=2, learning_rate=0.002),
        schedule("line", kind="fine_tuning"),
        schedule("line", kind="fine_tuning", promote=True),
    ]
    process = start(made[0], config)
    _, output = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "The stage Production of itransformer-line is version 1 now" in output
    stages = [stage(registry, made[0], "line")]
    for job in made[1:]:
        work(job, small)
        stages.append(stage(registry, job, "line"))
    runs = [registry.get_run(job) for job in made]
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    assert stages == ["Production", "None", "Production"]
    params = [run.data.params for run in runs]
    assert [(p["epochs"], p["learning_rate"]) for p in params] == [("2", "0.002")] + [
        ("2", "1e-05")
    ] * 2
    history = registry.get_metric_history(made[0], "val_loss")
    assert [metric.step for metric in history] == [1, 2]
    assert runs[1].data.tags["ascenso.fine_tuned_from"] == "itransformer-line/1"
    assert runs[0].data.params["data.rows"] == "300"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "a b"}, "The model name is 'a b': give up to 100 letters"),
        ({"model": "x", "pred_len": 300}, "data has 300 rows; training with seq_len 24 and pred"),
        ({"model": "x", "epochs": 0}, "job/request.json: Expected `int` >= 1 - at `$.epochs`."),
        ({"model": "x", "seed": "new"}, "job/request.json: Expected `int`, got `str`"),
        ({"model": "x", "lr": 1}, "job/request.json: Object contains unknown field `lr`."),
        ({"model": "nobody", "kind": "fine_tuning"}, "There is no model 'nobody': train it first"),
    ],
)
def test_a_failed_job_says_why(
    registry: MlflowClient,
    schedule: Callable[..., str],
    small: Settings,
    given: dict[str, Any],
    message: str,
) -> None:
    job = schedule(**given)
    with pytest.raises(InputError, match=re.escape(message)):
        work(job, small)
    run = registry.get_run(job)
    assert run.info.status == "FAILED"
    assert run.data.tags["job.error"].startswith(message)
    assert "job.version" not in run.data.tags


def test_rows_that_cannot_be_used_are_named(
    registry: MlflowClient, schedule: Callable[..., str], config: str, made: Dataset
) -> None:
    job = schedule("x", table=made.table.assign(carga=5.0))
    process = start(job, config)
    _, output = process.communicate(timeout=240)
    assert process.returncode == 2
    message = "data: column carga is constant (5) in the"
    assert message in output
    assert "Traceback" not in output
    assert registry.get_run(job).data.tags["job.error"].startswith(message)


def test_what_was_not_foreseen_is_reported_too(
    registry: MlflowClient, schedule: Callable[..., str], small: Settings
) -> None:
    job = schedule("x")

    def broken() -> bool:
        raise ZeroDivisionError("a bug\nwith details")

    with pytest.raises(ZeroDivisionError):
        jobs.work(job, small, broken)
    run = registry.get_run(job)
    assert run.info.status == "FAILED"
    assert run.data.tags["job.error"] == "ZeroDivisionError: a bug"


def test_a_terminated_job_is_killed_truly(
    registry: MlflowClient, schedule: Callable[..., str], config: str
) -> None:
    """It is polite while it runs, too."""
    path = Path(config)
    path.write_text(path.read_text().replace("niceness: 0", "niceness: 7"))
    job = schedule("long", epochs=1000, patience=1000, learning_rate=1e-9)
    process = start(job, config)
    wait_for(lambda: registry.get_run(job).data.metrics, 180)
    assert registry.get_run(job).info.status == "RUNNING"
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == usual + 7
    process.terminate()
    _, output = process.communicate(timeout=120)
    run = registry.get_run(job)
    assert run.info.status == "KILLED"
    assert run.info.end_time is not None
    assert "job.error" not in run.data.tags
    assert not registry.search_model_versions("name='itransformer-long'")
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in output


def test_a_job_terminated_before_it_began_is_killed_too(
    registry: MlflowClient, schedule: Callable[..., str], config: str
) -> None:
    job = schedule("early")
    process = start(job, config)
    handled = Path(f"/proc/{process.pid}/status")
    wait_for(lambda: catches(handled.read_text(), signal.SIGTERM), 120)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert registry.get_run(job).info.status == "KILLED"


def catches(status: str, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, by what Linux says of it."""
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def test_only_scheduled_jobs_begin(
    registry: MlflowClient, schedule: Callable[..., str], small: Settings
) -> None:
    job = schedule("once")
    registry.set_terminated(job, "KILLED")
    with pytest.raises(InputError, match=rf"The run {job} is KILLED: only a SCHEDULED one can"):
        work(job, small)
    assert registry.get_run(job).info.status == "KILLED"
