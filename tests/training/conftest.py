"""A real MLflow server and a real S3 server, and a small set of readings."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

from training.contugas.readings import Readings, clean, synthetic
from training.contugas.recipe import Result, train
from training.contugas.settings import Settings, Synthetic
from training.data import Dataset
from training.settings import read_settings

REAL = Path(__file__).parents[3] / "shared" / "data" / "contugas" / "contugas_hourly.parquet"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def process(command: list[str], url: str, log: Path, **env: str) -> Iterator[None]:
    """Run a server until it is no longer needed; it must answer `url` with anything."""
    with log.open("wb") as out:
        server = subprocess.Popen(
            command,
            env=os.environ | env,
            cwd=log.parent,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(url, server, log)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(url, timeout=2)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} did not come up:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", f"{folder}/artifacts"]
    with process(
        command,
        f"{uri}/health",
        folder / "log",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    ):
        yield uri


@pytest.fixture
def registry(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return mlflow.MlflowClient(mlflow_server)


@dataclass(frozen=True)
class Bucket:
    name: str
    client: "S3Client"

    def put(self, key: str, file: Path) -> str:
        self.client.put_object(Bucket=self.name, Key=key, Body=file.read_bytes())
        return f"s3://{self.name}/{key}"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of a real S3 server on a folder."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    root = tmp_path / "s3"
    (root / "data").mkdir(parents=True)  # a bucket is a folder
    rclone = str(Path(sys.executable).with_name("rclone"))
    command = [rclone, "serve", "s3", str(root), "--addr", endpoint.removeprefix("http://")]
    auth = {"RCLONE_AUTH_KEY": f'"{key},{secret}"'}  # quoted: a list of one pair
    with process(command, endpoint, tmp_path / "s3.log", **auth):
        yield Bucket("data", boto3.Session().client("s3"))


@pytest.fixture(scope="session")
def settings() -> Settings:
    return read_settings("contugas", Settings)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return synthetic(Synthetic(clients=20, hours=300, seed=3))


@pytest.fixture(scope="session")
def readings(dataset: Dataset, settings: Settings) -> Readings:
    return clean(dataset, least_clients=settings.clusters + 1)


@pytest.fixture(scope="session")
def result(readings: Readings, settings: Settings) -> Result:
    return train(readings, settings)


@pytest.fixture(scope="session")
def real_file() -> Path:
    if not REAL.exists():
        pytest.skip(f"no {REAL.name} beside the repository, in ../shared/data/contugas")
    return REAL
