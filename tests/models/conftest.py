"""The service of all models by itself, on a registry of its own."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

import mlflow
from mlflow import MlflowClient
from tests.services import served
from tests.serving.servers import BUCKET, Store, storing, tracking
from tests.stack import free_ports, wait_for

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

SECONDS = 60.0
RECORDINGS = f"s3://{BUCKET}/recordings"
QUARANTINE = '["quarantined-*"]'  # models whose own code may run


@dataclass(frozen=True)
class Models:
    """The registry, and the service that follows it."""

    url: str
    grpc: str
    client: MlflowClient
    home: Path
    s3: Store

    def log(self, model: Any, name: str, flavor: Any, **options: Any) -> None:
        """Register a version as a notebook does."""
        with warnings.catch_warnings(), mlflow.start_run():
            warnings.simplefilter("ignore")  # mlflow's own, of the missing signature among them
            flavor.log_model(
                model, name="model", registered_model_name=name, pip_requirements=[], **options
            )

    def register(self, name: str, logged: str) -> None:
        """Make a version of a logged model, of which only the id is needed."""
        with suppress(MlflowException):  # it is there
            self.client.create_registered_model(name)
        self.client.create_model_version(name, f"models:/{logged}", model_id=logged)

    def promote(self, name: str, version: str = "1", stage: str = "Production") -> None:
        """Move a version to a stage, as the mouse does."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client.transition_model_version_stage(name, version, stage)

    def place(self, name: str, route: str) -> str:
        """The address of a model's route."""
        return f"{self.url}/{quote(name, safe='')}/{route}".rstrip("/")

    def ask(self, name: str, rows: Any) -> httpx.Response:
        """Any answer to rows."""
        return httpx.post(self.place(name, "predict"), json=rows, timeout=60)

    def served(self, name: str, rows: Any, version: str = "1") -> Any:
        """The answer to rows, once that version gives it."""

        def answered() -> bool:
            said = self.ask(name, rows)
            if "was refused" in said.text:
                pytest.fail(said.text)
            return bool(said.headers.get("x-model-version", "").endswith(f"/{version}"))

        wait_for(answered, SECONDS)
        return self.ask(name, rows).json()


@pytest.fixture(scope="package")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    folder = tmp_path_factory.mktemp("models")
    (port,) = free_ports(1)
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
        pytest.MonkeyPatch.context() as patch,
        served(
            "bentos.models:Models",
            server.url,
            folder,
            ASCENSO_REGISTRY__POLL_SECONDS="0.2",
            ASCENSO_GRPC__PORT=str(port),
            ASCENSO_ADMISSION__QUARANTINE=QUARANTINE,
            ASCENSO_MODELS__MEMORY_MB="1",  # of all these tests' models a few at a time
            ASCENSO_MODELS__ISOLATED='["with code*"]',
            ASCENSO_PROCESSES__BATCH_SECONDS="3",
            ASCENSO_PROCESSES__FAILURES="3",
            ASCENSO_RECORDING__URI=RECORDINGS,
            ASCENSO_RECORDING__MODELS='{"recorded*": {"share": 1}}',
            ASCENSO_RECORDING__FLUSH_SECONDS="0.5",
            **store.env,
        ) as url,
    ):
        patch.setenv("MLFLOW_TRACKING_URI", server.url)
        patch.setenv("ASCENSO_ADMISSION__QUARANTINE", QUARANTINE)
        mlflow.set_tracking_uri(server.url)
        mlflow.set_experiment("any model")
        yield Models(url, f"127.0.0.1:{port}", MlflowClient(), folder / "home", store)


@pytest.fixture(scope="package")
def slopes(models: Models) -> list[str]:
    """The ids of two logged models: twice a number, and three times."""
    return [_line(times) for times in (2.0, 3.0)]


def _line(times: float) -> str:
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, times])
    options = {"serialization_format": "skops", "pip_requirements": []}
    with warnings.catch_warnings(), mlflow.start_run():
        warnings.simplefilter("ignore")
        return str(mlflow.sklearn.log_model(model, name="line", **options).model_id)
