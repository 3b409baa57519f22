"""The itransformer service in a process of its own, and rows and calls for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import psutil

from bentos.settings import CONFIGS
from tests.services import served
from tests.serving.servers import Server, storing, tracking
from tests.stack import wait_for

KEY = "an-admin-key-of-these-tests"
SERVICE = "bentos.itransformer:ITransformer"
SMALL = {"seq_len": 24, "pred_len": 6, "d_model": 16, "n_heads": 2, "d_ff": 16, "e_layers": 1}
QUICK: dict[str, Any] = {**SMALL, "epochs": 2, "learning_rate": 0.005}
LONG: dict[str, Any] = {"d_model": 512, "d_ff": 512, "e_layers": 6, "epochs": 1000}


def rows(count: int, step: str = "h", **constant: float) -> list[dict[str, Any]]:
    """Two waves, from the first of 2024 on."""
    index = np.arange(count)
    table = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=count, freq=step).astype(str),
            "OT": 10 * np.sin(2 * np.pi * index / 24) + index % 7,
            "HU": 60 + 5 * np.cos(2 * np.pi * index / 24) + index % 5,
        }
    ).assign(**constant)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


@dataclass(frozen=True)
class Bench:
    """A service, its registry and its state folder."""

    client: httpx.Client
    mlflow: Server
    home: Path

    def post(self, path: str, model: str | None, data: Any, **more: Any) -> httpx.Response:
        body = {"model_name": model, "data": data, **more}
        return self.client.post(path, json={k: v for k, v in body.items() if v is not None})

    def start(self, model: str, path: str = "/train", **more: Any) -> str:
        """Ask for a training; give its job."""
        answer = self.post(path, model, rows(200), **more)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def status(self, job_id: str) -> str:
        """What MLflow says of a job's run."""
        path = f"{self.mlflow.url}/api/2.0/mlflow/runs/get"
        body = httpx.get(path, params={"run_id": job_id}, timeout=60).raise_for_status().json()
        return str(body["run"]["info"]["status"])

    def end(self, job_id: str) -> dict[str, Any]:
        """Wait for a job to end."""
        wait_for(lambda: self.job(job_id)["status"] != "running", 240)
        return self.job(job_id)

    def train(self, model: str, path: str = "/train", **more: Any) -> dict[str, Any]:
        """Train and wait until the version is there."""
        ended = self.end(self.start(model, path, **more))
        assert ended["status"] == "finished", ended
        return ended

    def serves(self, model: str, version: str) -> bool:
        answer = self.post("/predict", model, rows(30))
        return answer.status_code == 200 and answer.json()["version"] == version

    def processes(self, word: str) -> list[psutil.Process]:
        """The processes of this service whose commands hold a word."""

        def is_one(process: psutil.Process) -> bool:
            try:
                home = process.environ().get("ASCENSO_HOME")
                return home == str(self.home) and word in " ".join(process.cmdline())
            except psutil.Error:
                return False

        return list(filter(is_one, psutil.process_iter()))


def ended(process: psutil.Process) -> bool:
    """Whether a process is no more, or but a name."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def bench(folder: Path, **variables: str) -> Iterator[Bench]:
    """A service with a registry and a store of its own.

    Its jobs are not niced, and train for as many epochs as their call says.
    """
    configs = Path(copytree(CONFIGS, folder / "configs"))
    training = msgspec.yaml.decode((configs / "training.yaml").read_bytes())
    training["itransformer"]["niceness"] = 0
    training["itransformer"]["recipe"]["patience"] = LONG["epochs"]
    (configs / "training.yaml").write_bytes(msgspec.yaml.encode(training))
    (folder / "mlflow").mkdir()
    env = {
        "ASCENSO_CONFIGS": str(configs),
        "ASCENSO_ADMIN_KEY": KEY,
        "ASCENSO_ADMIN__PROTECTS": "[]",
        "ASCENSO_REGISTRY__POLL_SECONDS": "0.3",
        "ASCENSO_JOBS__POLL_SECONDS": "0.3",
        "ASCENSO_JOBS__GRACE_SECONDS": "5",
    }
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder / "mlflow", store) as mlflow,
        served(SERVICE, mlflow.url, folder, **env | variables) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield Bench(client, mlflow, folder / "home")
