"""Runs a whole local stack, as `make up` does, on free ports."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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

    def processes(self, name: str) -> list[psutil.Process]:
        """The processes of one server (s3, mlflow, services), parents first."""
        return marked(f"{self.home}:{name}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Tell the supervisor to stop; give its exit code."""
        if self.supervisor.poll() is None:
            self.supervisor.send_signal(number)
        return self.supervisor.wait(timeout=60)


def start(home: Path, command: Sequence[str] = COMMAND, **variables: str) -> Stack:
    """Start a stack without waiting for it; `variables` overrule its environment."""
    port, mlflow_port, s3_port = free_ports(3)
    settings = Settings(home=home, port=port, mlflow_port=mlflow_port, s3_port=s3_port)
    output = home.with_name(f"{home.name}.out")
    env = {name: str(port) for name, port in settings.ports.items()} | {"ASCENSO_HOME": str(home)}
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
        wait_for(lambda: stack.supervisor.poll() is not None or UP in stack.output.read_text())
        if stack.supervisor.poll() is not None:
            raise RuntimeError(f"the stack did not start:\n{stack.output.read_text()[-4000:]}")
        yield stack
    except TimeoutError as error:
        raise RuntimeError(f"the stack hangs:\n{stack.output.read_text()[-4000:]}") from error
    finally:
        try:
            stack.stop()
        finally:
            stack.supervisor.kill()
            orphans.end(home)


def wait_for(condition: Callable[[], object], seconds: float = 480) -> None:
    """Return once the condition holds. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not true after {seconds} s")
        time.sleep(0.05)


def marked(mark: str) -> list[psutil.Process]:
    """The processes whose environment bears this mark, oldest first."""

    def bears(process: psutil.Process) -> bool:
        try:
            return process.environ().get(orphans.MARK) == mark
        except psutil.Error:
            return False

    return sorted(filter(bears, psutil.process_iter()), key=lambda p: p.create_time())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
