"""One more service process beside the stack's: contugas alone, with a state folder of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from deploy.local import keys, orphans
from deploy.local.servers import SERVE, services
from deploy.local.settings import ROOT, Settings
from tests.stack import free_ports, wait_for

MODEL = "contugas-anomaly"


class Service:
    """`bentoml serve bentos.contugas:Contugas`, following the alias steady."""

    def __init__(self, home: Path, registry: str) -> None:
        (port,) = free_ports(1)
        settings = Settings(home=home, port=port)
        settings.logs.mkdir(parents=True)
        self.home = settings.home
        self.url = settings.api
        self._server = services(
            settings, keys.ensure(settings.secrets), (*SERVE, "bentos.contugas:Contugas")
        )
        self._env = {
            **self._server.env,
            "MLFLOW_TRACKING_URI": registry,
            "ASCENSO_CHANNELS": json.dumps({MODEL: {"alias": "steady"}}),
            "ASCENSO_REGISTRY__TIMEOUT_SECONDS": "2",
            "ASCENSO_REGISTRY__MAX_BACKOFF_SECONDS": "2",
        }

    def start(self) -> None:
        with self._server.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._server.command,
                env=self._env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        orphans.end(self.home)
        self._process.wait(timeout=120)

    def wait_ready(self) -> None:
        try:
            wait_for(lambda: status(f"{self.url}/readyz") == httpx.codes.OK, 240)
        except TimeoutError:
            raise RuntimeError(f"not ready:\n{self._server.log.read_text()[-4000:]}") from None


def status(url: str) -> int:
    """How this address answers; 0 when it does not."""
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def report(url: str) -> dict[str, Any]:
    """What the service at this address tells of its only slot, and whether it is degraded."""
    body = httpx.get(f"{url}/releases", timeout=60, trust_env=False).raise_for_status().json()
    release: dict[str, Any] = body["releases"][0]
    return release | {
        "degraded": body["degraded"],
        "serves": (release["live"] or {}).get("version"),
    }


def serves(url: str, version: str) -> bool:
    """Whether this version is live at this address, and nothing troubles the service."""
    try:
        state = report(url)
    except httpx.HTTPError:  # it is starting
        return False
    return bool(state["serves"] == version) and not (state["degraded"] or state["trouble"])
