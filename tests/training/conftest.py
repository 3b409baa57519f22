"""A real MLflow server and a real S3 server, and a small set of readings."""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

from mlflow.entities.model_registry import ModelVersion

from tests.serving.servers import Server, storing
from tests.stack import free_ports
from training.contugas.readings import Readings, clean, synthetic
from training.contugas.recipe import Result, train
from training.contugas.settings import Settings, Synthetic
from training.data import Dataset
from training.settings import read_settings

REAL = Path(__file__).parents[3] / "shared" / "data" / "contugas" / "contugas_hourly.parquet"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    (port,) = free_ports(1)
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", f"{folder}/artifacts"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = Server(command, f"{uri}/health", folder / "log", quiet)
    server.start()
    try:
        yield uri
    finally:
        server.kill()


@pytest.fixture
def registry(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return mlflow.MlflowClient(mlflow_server)


def newest(registry: mlflow.MlflowClient, name: str) -> ModelVersion:
    """The version of a model that was registered last."""
    versions = registry.search_model_versions(f"name='{name}'")
    return max(versions, key=lambda version: int(version.version))


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
    (tmp_path / "s3" / "data").mkdir(parents=True)  # a bucket is a folder
    with storing(tmp_path / "s3") as (store, _):
        for name, value in store.env.items():
            monkeypatch.setenv(name, value)
        yield Bucket("data", store.client)


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
