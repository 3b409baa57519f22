"""One service in a process of its own, as `bentoml serve` runs it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from deploy.local.settings import ROOT
from tests.stack import free_ports, wait_for


@contextmanager
def served(service: str, mlflow: str, folder: Path, **variables: str) -> Iterator[str]:
    """Serve `bentos.name:Service` until every slot is live and no longer needed; gives its URL.

    Its state lies in `folder`/home; `variables` overrule its environment.
    """
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    log = folder / "service.log"
    env = {
        "ASCENSO_HOME": str(folder / "home"),
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "MLFLOW_TRACKING_URI": mlflow,
    }
    command = [sys.executable, "-m", "bentoml", "serve", service]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | env | variables,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or ready(url), 240)
        assert process.poll() is None, f"{service} ended:\n{log.read_text()[-4000:]}"
        yield url
    except TimeoutError:
        raise RuntimeError(f"{service} is not ready:\n{log.read_text()[-4000:]}") from None
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(120)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
