"""The runner: one a machine, it lets jobs have their processes, and their runs tell the truth."""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from filelock import FileLock, Timeout

from bentos.itransformer import tied
from bentos.itransformer.jobs import CANCEL, Jobs
from bentos.loop import Loop
from bentos.promotion.pauses import backoff
from bentos.registry.client import NotInRegistry, RegistryUnavailable
from bentos.registry.runs import Run
from bentos.settings import TRAINING, JobSettings

log = logging.getLogger(__name__)

TRAINER = "training.itransformer"
LONGEST_PAUSE = 30.0  # seconds; a call of a client ends it
SPARE_PAUSE = 5.0  # until another process is tried to be the runner
CUT_OFF = "The service was stopped or killed while this job ran. Send it again."
SHOWN = 300  # characters of a process's last line


@dataclass
class Process:
    """A job's process, and when it was asked to end."""

    popen: Popen[bytes]
    log: Path
    asked_at: float | None = field(default=None)

    def ask(self, grace: float) -> None:
        """Ask it to end; kill it when it did not after so many seconds."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            self.popen.send_signal(signal.SIGTERM)
        elif time.monotonic() - self.asked_at > grace:
            self.popen.kill()

    def ending(self) -> str:
        """How it ended, in a sentence."""
        code, lines = self.popen.returncode, self.log.read_text(errors="replace").splitlines()
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return f"The training's process ended {how}: {(lines or ['no word'])[-1][:SHOWN]}"


class Runner:
    """Carries out the jobs of this place from `start` to `stop`, in the order of their coming.

    Of all workers of a machine one holds the lock; another takes over when it ends.
    """

    def __init__(
        self, jobs: Jobs, settings: JobSettings, ended: Callable[[], object] = lambda: None
    ) -> None:
        self._ended = ended  # is called when a job has come to its end
        self._jobs = jobs
        self._settings = settings
        self._processes: dict[str, Process] = {}
        self._called_at = 0  # as of the last look
        self._idle = False
        self._lock = FileLock(jobs.folder / "lock", thread_local=False)
        self._loop = Loop(
            "jobs",
            self._look_alone,
            self._pause,
            (RegistryUnavailable, NotInRegistry),
            "jobs wait",
            begin=lambda: self._jobs.folder.mkdir(parents=True, exist_ok=True),
            end=self._end,
            has_news=lambda: self._jobs.called_at != self._called_at,
            news_in=[jobs.bell],
        )

    @property
    def trouble(self) -> str:
        """Why the last look failed."""
        return self._loop.trouble

    def start(self) -> None:
        """Begin to look."""
        self._loop.start()

    def stop(self) -> None:
        """End the processes of jobs; their runs say that they were cut off."""
        self._loop.stop(self._settings.grace_seconds)

    def wake(self) -> None:
        """Look at once."""
        self._loop.wake()

    def look(self) -> None:
        """Bring jobs and processes together. Raises RegistryUnavailable."""
        jobs = {run.info.run_id: run for run in self._jobs.unsettled()}
        self._idle = not jobs
        for job_id, process in list(self._processes.items()):
            self._attend(job_id, process, jobs.get(job_id))
        for job_id, run in jobs.items():
            if job_id in self._processes:
                continue
            if run.info.status == "RUNNING":
                self._cut_off(job_id)
            elif run.tag(CANCEL):
                self._jobs.runs.set_status(job_id, "KILLED")
            elif len(self._processes) < self._settings.at_once:
                self._processes[job_id] = self._begin(job_id)

    def _begin(self, job_id: str) -> Process:
        path = self._jobs.folder / f"{job_id}.log"
        with path.open("wb") as file:
            arguments = ("work", job_id, "--config", str(TRAINING.absolute()))
            popen = tied.start(TRAINER, *arguments, mlflow=self._jobs.runs.address, log=file)
        log.info("job %s begins, process %d", job_id, popen.pid)
        return Process(popen, path)

    def _attend(self, job_id: str, process: Process, run: Run | None) -> None:
        """See to a process; `run` is None when the job is settled."""
        if process.popen.poll() is None:
            if run is None or run.tag(CANCEL):
                process.ask(self._settings.grace_seconds)
            return
        run = self._jobs.runs.run(job_id)  # it may have settled after the list was made
        if run.info.status in ("RUNNING", "SCHEDULED"):
            if run.tag(CANCEL):
                self._jobs.runs.set_status(job_id, "KILLED")
            else:
                self._jobs.fail(job_id, process.ending())
        del self._processes[job_id]
        process.log.unlink(missing_ok=True)
        self.wake()
        self._ended()

    def _cut_off(self, job_id: str) -> None:
        run = self._jobs.runs.run(job_id)
        if run.info.status == "RUNNING":
            log.warning("job %s was cut off", job_id)
            self._jobs.fail(job_id, CUT_OFF)

    def _look_alone(self) -> None:
        self._called_at = self._jobs.called_at
        if self._sole():
            self.look()

    def _pause(self, failures: int) -> float:
        poll = self._settings.poll_seconds
        if failures:
            return backoff(failures, poll, LONGEST_PAUSE)
        if not self._lock.is_locked:
            return SPARE_PAUSE
        return LONGEST_PAUSE if self._idle and not self._processes else poll

    def _sole(self) -> bool:
        """Whether this process is the machine's runner."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        for left in self._jobs.folder.glob("*.log"):
            left.unlink()
        return True

    def _end(self) -> None:
        for process in self._processes.values():
            process.popen.kill()
            process.popen.wait()
        for job_id in self._processes:
            try:
                self._cut_off(job_id)
            except (RegistryUnavailable, NotInRegistry) as error:
                log.warning(
                    "job %s was cut off, and the next start will say so: %s", job_id, error
                )
        self._lock.release()
