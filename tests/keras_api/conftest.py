"""Two workers of keras_api for all of these tests, on the stack's registry."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import mlflow
from bentos.keras_api.client import KerasClient
from bentos.web.auth.users import UserFile
from mlflow import MlflowClient
from tests.keras_api.networks import SECONDS, SECRET, SERVICE, both, register
from tests.services import served
from tests.stack import Stack, wait_for
from tests.web.guarded import PASSWORD
from training import tracking


@pytest.fixture(scope="package")
def registry(stack: Stack) -> Iterator[MlflowClient]:
    """The stack's registry, with one small model in production."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", stack.mlflow)
        mlflow.set_tracking_uri(stack.mlflow)
        tracking.promote(register("prueba", 1.0))
        yield MlflowClient()


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keras_api")


@pytest.fixture(scope="package")
def url(stack: Stack, registry: MlflowClient, folder: Path) -> Iterator[str]:
    users = UserFile(folder / "home" / "users.json")
    users.add("ana", PASSWORD)
    users.add("root", PASSWORD, admin=True)
    settings = {
        "ASCENSO_SECURITY__SECRET": SECRET,
        "ASCENSO_SECURITY__TOKEN_MINUTES": "0.2",  # twelve seconds: clients must renew
        "ASCENSO_SECURITY__LEEWAY_SECONDS": "0",
        "ASCENSO_SERVICES__WORKERS": "2",
        "ASCENSO_REGISTRY__POLL_SECONDS": "0.2",
    }
    with served(SERVICE, stack.mlflow, folder, **settings) as url:
        for model_id in ("default", "prueba"):
            wait_for(partial(both, url, model_id), SECONDS)
        yield url


@pytest.fixture(scope="package")
def client(url: str) -> Iterator[KerasClient]:
    with KerasClient(url, "ana", PASSWORD) as client:
        yield client
