"""Where a version runs that does not run in the process that serves: in one of its own.

A `runner` has the version's own releases of reviewed libraries, and our reader opens it there.
One that is `isolated` brings code, and MLflow opens it there, in a sandbox.
"""

import resource
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bentos.admission.environments import used
from bentos.admission.processes import Failed, Process
from bentos.admission.verdict import PACKAGE, Apart
from bentos.flavors.elsewhere import wire
from bentos.flavors.elsewhere.start import START, START_PYFUNC
from bentos.refusal import Refusal
from bentos.sandbox import Limits, Sandbox, python_paths, unavailable
from bentos.settings import ProcessSettings
from bentos.tensors import BadInput, Batch, Schema

VERSION = "/version"  # where a sandbox has it
OPENING = 120.0  # seconds
FOREVER = 10**9  # seconds of a processor
MEGABYTE = 1 << 20
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
OF_MLFLOW = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HOMELESS = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
USUAL = ProcessSettings()


class Housed(NamedTuple):
    """What answers, and gives probabilities where it can, while its process is kept."""

    process: Process
    predict: Callable[[Batch], Batch]
    shares: Callable[[Batch], Batch] | None = None


def run(python: Path, folder: Path, schema: Schema, settings: ProcessSettings = USUAL) -> Housed:
    """A version, opened with its own releases. Raises Refusal and Failing."""
    command = [*_command(python, START, folder), str(FOREVER), "read"]
    memory = settings.memory_mb * MEGABYTE
    process = Process(partial(_start_runner, command, memory), settings.memory_mb, used(python))
    try:
        opened = process.ask(None, wire.Opened, OPENING)
    except Failed as error:
        raise Refusal("load", f"its own releases cannot open it: {error}") from error
    if opened.schema != schema:
        raise Refusal("schema", "it was opened with other columns than at its admission")
    predict, shares = (
        partial(_answers, process, settings.batch_seconds, flag) for flag in (False, True)
    )
    return Housed(process, predict, shares if opened.shares else None)


def isolate(
    python: Path, folder: Path, schema: Schema, apart: Apart, settings: ProcessSettings
) -> Housed:
    """A version with code, opened by MLflow. Raises Refusal and Failing."""
    start = partial(_start_isolated, python, folder, apart, settings.memory_mb * MEGABYTE)
    process = Process(start, settings.memory_mb, used(python))
    try:
        process.ask(wire.Load(schema), wire.Ready, OPENING)
    except Failed as error:
        raise Refusal("load", f"MLflow cannot load it: {error}") from error
    return Housed(process, partial(_answers, process, settings.batch_seconds, False))


def apart(network: bool, without_sandbox: bool) -> Apart:
    """How a version with code is shut in on this machine. Raises Refusal where it cannot be."""
    why = unavailable()
    if why is None:
        return "network" if network else "shut"
    if without_sandbox:
        return "nothing"
    raise Refusal(
        "code",
        f"its code may run in a sandbox (models.isolated), and none can be had here: {why}; "
        "admission.quarantine_without_sandbox: true does without",
    )


def _answers(process: Process, seconds: float, probabilities: bool, rows: Batch) -> Batch:
    try:
        return process.predict(rows, seconds, probabilities)
    except Failed as error:
        raise BadInput(f"the model cannot answer: {error}") from error


def _command(python: Path, start: str, folder: Path) -> list[str]:
    return [str(python), "-s", "-W", "ignore", "-c", start, str(PACKAGE.parent), str(folder)]


def _start_runner(command: list[str], memory: int, line: int) -> "subprocess.Popen[bytes]":
    return _limited(
        subprocess.Popen(command, env=ONE_THREAD, cwd="/", stdin=line, stdout=line),  # noqa: S603
        memory,
    )


def _start_isolated(
    python: Path, folder: Path, apart: Apart, memory: int, line: int
) -> "subprocess.Popen[bytes]":
    if apart == "nothing":
        made = subprocess.Popen(  # noqa: S603
            _command(python, START_PYFUNC, folder),
            env=HOMELESS | ONE_THREAD | OF_MLFLOW, cwd="/", stdin=line, stdout=line,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return _limited(made, memory)
    sandbox = Sandbox(
        Limits(memory, FOREVER),
        readable=[*python_paths(python), PACKAGE],
        placed={VERSION: folder},
        environment=ONE_THREAD | OF_MLFLOW,
        network=apart == "network",
    )
    command = _command(python, START_PYFUNC, Path(VERSION))
    return sandbox.start(command, stdin=line, stdout=line)


def _limited(process: "subprocess.Popen[bytes]", memory: int) -> "subprocess.Popen[bytes]":
    """With so many bytes, where the system can say so of another process, as Linux can."""
    if prlimit := getattr(resource, "prlimit", None):
        prlimit(process.pid, resource.RLIMIT_DATA, (memory, memory))
    return process
