"""Jobs: trainings that were accepted. All that is known of one lies in its MLflow run."""

import math
import os
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Literal
from uuid import uuid4

import msgspec

from bentos.registry.client import NotInRegistry, RegistryUnavailable
from bentos.registry.runs import Run, Runs
from training.itransformer import names

PLACE, CANCEL = "job.place", "job.cancel"  # tags: whose runner it waits for; that it shall end
JOB = f"tags.`{names.KIND}` IS NOT NULL"
UNSETTLED = " AND ".join(
    f"attributes.status != '{status}'" for status in ("FINISHED", "FAILED", "KILLED")
)

State = Literal["running", "finished", "failed", "cancelled"]
STATES: dict[str, State] = {
    "SCHEDULED": "running",
    "RUNNING": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "cancelled",
}


class Job(msgspec.Struct, frozen=True):
    """A training as its client sees it; one that waits for others is running with progress 0.

    `train_loss` and `val_loss` are of the last epoch, MSE of standardised values.
    """

    job_id: str
    model_name: str
    kind: str
    status: State
    progress: float
    epoch: int
    epochs: int | None
    train_loss: float | None
    val_loss: float | None
    version: str | None
    error: str | None
    serves: bool | None = None  # whether its version is what answers now; None without a version


class TooManyJobs(Exception):
    """As many jobs wait as may."""


class Jobs:
    """Keeps jobs in MLflow, those of this place: the machine's state folder.

    Raises RegistryUnavailable when MLflow does not answer, NotInRegistry for an unknown job.
    """

    def __init__(self, runs: Runs, folder: Path, queued: int) -> None:
        self.runs = runs
        self.folder = folder
        self._queued = queued

    @cached_property
    def place(self) -> str:
        """The name of the state folder: only its own runner carries out what it accepted."""
        path = self.folder / "place"
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write(uuid4().hex)
            file.flush()
            with suppress(FileExistsError):
                os.link(file.name, path)  # whole, or another worker's
        return path.read_text()

    @cached_property
    def experiment(self) -> str:
        """The id of the experiment of all jobs."""
        return self.runs.experiment(names.EXPERIMENT)

    def add(self, kind: str, model: str, promote: bool, request: bytes, data: bytes) -> str:
        """Store a job for the runner; give its id. Nothing stays of one that is not whole.

        Raises TooManyJobs.
        """
        waiting = sum(run.info.status == "SCHEDULED" for run in self.unsettled())
        if waiting >= self._queued:
            raise TooManyJobs(f"{waiting} jobs wait already")
        run = self.runs.create_run(self.experiment, f"{kind} {model}")
        run_id = run.info.run_id
        try:
            self.runs.put(run.info.artifact_uri, names.REQUEST, request)
            self.runs.put(run.info.artifact_uri, names.DATA, data)
            self.runs.set_status(run_id, "SCHEDULED")
            tags = {names.KIND: kind, names.MODEL: model, names.PROMOTE: str(promote).lower()}
            self.runs.set_run_tags(run_id, tags | {PLACE: self.place})  # now it is a job
        except BaseException:
            with suppress(RegistryUnavailable, NotInRegistry):
                self.runs.delete_run(run_id)
            raise
        self._call()
        return run_id

    def get(self, job_id: str) -> Run:
        """The run of a job."""
        run = self.runs.run(job_id)
        if not run.tag(names.KIND):
            raise NotInRegistry(f"{job_id!r} is a run, but no job")
        return run

    def all(self) -> list[Run]:
        """Up to a thousand jobs, of other places too, the newest first."""
        return self.runs.find_runs(self.experiment, JOB, "DESC")

    def unsettled(self) -> list[Run]:
        """The jobs of this place that wait or run, in the order of their coming."""
        mine = f"{JOB} AND tags.`{PLACE}` = '{self.place}' AND {UNSETTLED}"
        return self.runs.find_runs(self.experiment, mine)

    def cancel(self, run: Run) -> None:
        """Let a job end: now if it waits, else as soon as its runner looks."""
        self.runs.set_run_tags(run.info.run_id, {CANCEL: "true"})
        if run.info.status == "SCHEDULED":
            self.runs.set_status(run.info.run_id, "KILLED")
        self._call()

    @property
    def called_at(self) -> int:
        """When there last was something to do for the runner, in nanoseconds since 1970."""
        try:
            return self.bell.stat().st_mtime_ns
        except OSError:
            return 0

    @property
    def bell(self) -> Path:
        """What is written to call the runner."""
        return self.folder / "called"

    def _call(self) -> None:
        """Let the runner look at once, in whatever process of the machine it is."""
        with suppress(OSError):  # it looks all the same, later
            self.bell.write_text("")

    def fail(self, run_id: str, reason: str) -> None:
        """Note that a job did not come to its end."""
        self.runs.set_run_tags(run_id, {names.ERROR: reason})
        self.runs.set_status(run_id, "FAILED")


def describe(run: Run) -> Job:
    """A run as a job."""
    state = STATES[run.info.status]
    train, val = run.metric("train_loss"), run.metric("val_loss")
    epoch, epochs = train.step if train else 0, int(run.param("epochs") or 0)
    share = 1.0 if state == "finished" else epoch / epochs if epochs else 0.0
    return Job(
        job_id=run.info.run_id,
        model_name=run.tag(names.MODEL),
        kind=run.tag(names.KIND),
        status=state,
        progress=round(share, 4),
        epoch=epoch,
        epochs=epochs or None,
        train_loss=_finite(train.value if train else None),
        val_loss=_finite(val.value if val else None),
        version=run.tag(names.VERSION) or None,
        error=run.tag(names.ERROR) or None,
    )


def _finite(value: float | str | None) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None
