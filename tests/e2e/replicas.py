"""Three contugas services side by side, and a real nginx before them."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from deploy.local.servers import SERVE
from deploy.local.settings import ROOT
from tests.e2e.service import status
from tests.stack import free_ports, wait_for

CONF = ROOT / "deploy" / "nginx" / "ascenso.conf"
MAIN = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/ascenso.conf;
}}
"""


def program() -> str:
    """Where nginx is; Debian keeps it from the path of plain users."""
    path = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        assert not os.environ.get("CI"), "nginx is missing: apt-get install nginx-light"
        pytest.skip("nginx is not installed")
    return path


def configured(folder: Path, port: int, replicas: list[int]) -> list[str]:
    """The command that runs nginx with the configuration as it is, but for its ports."""
    numbers = iter([*replicas, port])
    conf = re.sub(
        r"(127\.0\.0\.1:|listen )\d+", lambda m: f"{m[1]}{next(numbers)}", CONF.read_text()
    )
    (folder / "ascenso.conf").write_text(conf)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    return [program(), "-p", str(folder), "-c", str(folder / "nginx.conf")]


@contextmanager
def proxy(folder: Path, replicas: list[int]) -> Iterator[str]:
    """A running nginx before these ports; gives its URL."""
    (port,) = free_ports(1)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            configured(folder, port, replicas), stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: process.poll() is not None or status(url), 60)
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


class Replica:
    """`bentoml serve bentos.contugas:Contugas` on a port, started and stopped as systemd does."""

    def __init__(self, home: Path, registry: str, log: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._env = os.environ | {
            "ASCENSO_HOME": str(home),
            "BENTOML_HOME": str(log.with_suffix(".bentoml")),
            "BENTOML_DO_NOT_TRACK": "true",
            "MLFLOW_TRACKING_URI": registry,
        }

    def start(self) -> None:
        command = [*SERVE, "bentos.contugas:Contugas", "--host", "127.0.0.1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        try:
            wait_for(lambda: status(f"{self.url}/readyz") == 200, 240)
        except TimeoutError:
            raise RuntimeError(f"not ready:\n{self._log.read_text()[-4000:]}") from None

    def end(self) -> None:
        """Ask it to, as systemd does."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Return once it has ended."""
        self._process.wait(180)

    def kill(self) -> None:
        """Kill it and its workers, which circus puts into sessions of their own."""
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            for process in (*main.children(recursive=True), main):
                process.kill()
        self._process.wait(30)


@contextmanager
def replicas(homes: list[Path], registry: str, logs: Path) -> Iterator[list[Replica]]:
    """A ready replica for each home; several may share one."""
    with ExitStack() as running:
        made = [Replica(home, registry, logs / f"{n}.log") for n, home in enumerate(homes)]
        for replica in made:
            replica.start()
            running.callback(replica.kill)
        for replica in made:
            replica.wait_ready()
        yield made
