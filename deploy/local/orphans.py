"""Processes that outlive the one that started them, known by a mark in their environment."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "ASCENSO_PROCESS"


def mark(home: Path, name: str) -> dict[str, str]:
    """The variable that tells a process's children from all others."""
    return {MARK: f"{home}:{name}"}


def end(home: Path, name: str = "", grace: float = 5.0) -> list[int]:
    """End the processes so marked (without a name: all of this home's); give their pids.

    They get `grace` seconds to end by themselves.
    """
    processes = [p for p in psutil.process_iter() if _belongs(p, home, name)]
    for process in processes:
        _send(process, "terminate")
    _, stubborn = psutil.wait_procs(processes, timeout=grace)
    for process in stubborn:
        _send(process, "kill")
    psutil.wait_procs(stubborn, timeout=grace)
    return [process.pid for process in processes]


def _belongs(process: psutil.Process, home: Path, name: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        marked = process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return False  # gone, or another user's
    return marked == f"{home}:{name}" or (not name and marked.startswith(f"{home}:"))


def _send(process: psutil.Process, signal: str) -> None:
    with suppress(psutil.NoSuchProcess):
        getattr(process, signal)()
