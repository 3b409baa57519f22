"""Runs a whole local stack, as `make up` does, on free ports."""

import asyncio
import inspect
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import psutil

from deploy.local import orphans
from deploy.local.settings import ROOT, Settings

UP = "Ascenso is up"
SECRET = "ASCENSO_SECURITY__SECRET"  # the tests have one; a stack makes its own
COMMAND = (sys.executable, "-m", "deploy.local")


@dataclass(frozen=True)
class Stack:
    """A running stack: where it answers, its state folder, its supervisor."""

    settings: Settings
    supervisor: subprocess.Popen[bytes]
    output: Path

    @property
    def api(self) -> str:
        return self.settings.api

    @property
    def mlflow(self) -> str:
        return self.settings.mlflow

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def said(self) -> str:
        """What the supervisor and its servers wrote so far."""
        return self.output.read_text(errors="replace")  # half a character may be written yet

    def processes(self, name: str) -> list[psutil.Process]:
        """The processes of one server (s3, mlflow, services), parents first."""
        return marked(f"{self.home}:{name}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Tell the supervisor to stop; give its exit code."""
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(number)
        return self.supervisor.wait(timeout=180)


def start(home: Path, command: Sequence[str] = COMMAND, **variables: str) -> Stack:
    """Start a stack without waiting for it; `variables` overrule its environment."""
    port, grpc_port, mlflow_port, s3_port = free_ports(4)
    settings = Settings(
        home=home, port=port, grpc_port=grpc_port, mlflow_port=mlflow_port, s3_port=s3_port
    )
    output = home.with_name(f"{home.name}.out")
    env = {name: str(port) for name, port in settings.ports.items()}
    env |= {"ASCENSO_HOME": str(home), "ASCENSO_SERVICES__WORKERS": "1"}  # few cores for all tests
    inherited = {name: value for name, value in os.environ.items() if name != SECRET}
    with output.open("wb") as file:
        supervisor = subprocess.Popen(
            command,
            cwd=ROOT,
            env=inherited | env | variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Stack(settings, supervisor, output)


@contextmanager
def running(home: Path, command: Sequence[str] = COMMAND) -> Iterator[Stack]:
    """A stack that is up; stopped afterwards, whatever happens."""
    stack = start(home, command)
    try:
        wait_for(lambda: stack.supervisor.poll() is not None or UP in stack.said)
        if stack.supervisor.poll() is not None:
            raise RuntimeError(f"the stack did not start:\n{stack.said[-4000:]}")
        yield stack
    except TimeoutError as error:
        raise RuntimeError(f"the stack hangs:\n{stack.said[-4000:]}") from error
    finally:
        try:
            stack.stop()
        finally:
            stack.supervisor.kill()
            orphans.end(home)


def wait_for(condition: Callable[[], object], seconds: float = 480) -> None:
    """Return once the condition holds. Raises `TimeoutError`."""
    for pause in _pauses(seconds):
        if condition():
            return
        time.sleep(pause)
    raise TimeoutError(f"still not true after {seconds} s")


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """`wait_for` in an event loop; the condition may be a coroutine. Raises `TimeoutError`."""
    for pause in _pauses(seconds):
        outcome = condition()
        if await outcome if inspect.isawaitable(outcome) else outcome:
            return
        await asyncio.sleep(pause)
    raise TimeoutError(f"still not true after {seconds} s")


def _pauses(seconds: float) -> Iterator[float]:
    """What to wait between looks, little at first; there is a look after so many seconds."""
    deadline = time.monotonic() + seconds
    pause, late = 0.002, False
    while not late:
        late = time.monotonic() > deadline
        yield pause
        pause = min(2 * pause, 0.05)


def marked(mark: str) -> list[psutil.Process]:
    """The processes whose environment bears this mark, oldest first."""
    found: list[tuple[float, psutil.Process]] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ended, or belongs to another user
            if process.environ().get(orphans.MARK) == mark:
                found.append((process.create_time(), process))
    return [process for _, process in sorted(found, key=lambda pair: pair[0])]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different; nobody is given them before they are used.

    The system gives clients, and whoever asks for port 0, ports from 32768 (Linux) or 49152 on.
    """
    return list(islice(filter(_is_free, _PORTS), count))


def _own_ports() -> Iterator[int]:
    """A thousand ports of this process of pytest-xdist, from anywhere on, again and again."""
    first = 20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return islice(cycle(range(first, first + 1_000)), random.randrange(1_000), None)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_PORTS = _own_ports()
