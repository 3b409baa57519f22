"""Small networks to serve, and what the tests of keras_api ask of them."""

import secrets
from typing import Any

import httpx
import numpy as np
from mlflow.entities.model_registry import ModelVersion

import mlflow
from tests.keras_files import keras
from tests.web.guarded import bearer
from tests.web.scrape import value
from training.keras_api import guardar_modelo

SERVICE = "bentos.keras_api:KerasApi"
SECRET = secrets.token_hex(32)
ROW = [1.0, 2.0, 3.0]
SECONDS = 120.0
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"


def register(model_id: str, factor: float) -> ModelVersion:
    """A network that answers `factor` times the sum of three numbers."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.set_weights([np.full((3, 1), factor), np.zeros(1)])
    return guardar_modelo(model_id, model)


def move(version: ModelVersion, stage: str) -> None:
    """Move a version to a stage, as the CLI and the UI do."""
    httpx.post(
        f"{mlflow.get_tracking_uri()}/api/2.0/mlflow/model-versions/transition-stage",
        json={
            "name": version.name,
            "version": str(version.version),
            "stage": stage,
            "archive_existing_versions": False,
        },
        timeout=60,
    ).raise_for_status()


def workers(url: str, model_id: str) -> float:
    """In how many of them a model is live."""
    return value(url, "ascenso_live", model=f"keras-{model_id}")


def both(url: str, model_id: str) -> bool:
    return workers(url, model_id) == 2


def ask(url: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.post(f"{url}/predict", json=body, headers=headers or bearer(url), timeout=60)
