"""Processes that outlive the one that started them, known by a mark in their environment."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

MARK = "ASCENSO_PROCESS"


def mark(home: Path, name: str) -> dict[str, str]:
    """The variable that tells a process's children from all others."""
    return {MARK: f"{home}:{name}"}


def tied(command: Sequence[str]) -> tuple[str, ...]:
    """The same command, signalled by the system (SIGTERM) when this process is killed.

    Only Linux knows how; elsewhere `end` does it at the next start.
    """
    return (*_tie(), *command)


def end(home: Path, name: str = "", grace: float = 5.0) -> list[int]:
    """End the processes so marked (without a name: all of this home's); give their pids.

    They get `grace` seconds to end by themselves.
    """
    processes = of(home, name)
    for process in processes:
        _send(process, "terminate")
    stubborn = _left(processes, grace)
    for process in stubborn:
        _send(process, "kill")
    _left(stubborn, grace)
    return [process.pid for process in processes]


def of(home: Path, name: str = "") -> list[psutil.Process]:
    """The processes so marked (without a name: all of this home's), but for the caller."""
    return [process for process in psutil.process_iter() if _belongs(process, home, name)]


@cache
def _tie() -> tuple[str, ...]:
    tie = (shutil.which("setpriv") or "", "--pdeathsig", "TERM", "--")
    with suppress(OSError):  # not installed; older ones refuse the option
        tried = subprocess.run((*tie, "true"), stderr=subprocess.DEVNULL, check=False)  # noqa: S603
        return () if tried.returncode else tie
    return ()


def _belongs(process: psutil.Process, home: Path, name: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        marked = process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return False  # gone, or another user's
    return marked == f"{home}:{name}" or (not name and marked.startswith(f"{home}:"))


def _left(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run after so long; nobody may read what became of the others."""
    deadline = time.monotonic() + seconds
    while (running := list(filter(_runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.02)
    return running


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, signal: str) -> None:
    with suppress(psutil.NoSuchProcess):
        getattr(process, signal)()
