"""A fitted Keras model and its scalers, registered as one model that can be served."""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import mlflow
from training import tracking
from training.errors import InputError
from training.keras_api.graph import answer, served_model, width
from training.keras_api.scaling import Floats, Scaler, read_scaler
from training.manifest import MOST_SAMPLES, Predict, Samples
from training.usual import Usual

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.keras
    import mlflow.pyfunc

PREFIX = "keras-"
EXPERIMENT = "keras_api"
LIBRARIES = ("keras", "torch", "numpy")
SEED = 0


def guardar_modelo(
    id: str,  # noqa: A002 (the name that callers know)
    model: keras.Model,
    scaler_X: Scaler = None,
    scaler_y: Scaler = None,
    usual: Usual | None = None,
) -> ModelVersion:
    """Register a fitted model with its input and output scalers as a version of `keras-<id>`.

    The scalers are StandardScaler, MinMaxScaler, RobustScaler, MaxAbsScaler, or None. `usual` has
    rows and answers that services tell drift by, named by `table`. It is logged under the active
    run, or under one of its own. Raises `InputError` for what cannot be served, and
    `RegistryError` when MLflow does not answer.
    """
    name = registered_name(id)
    served = served_model(model, scaler_X, scaler_y)
    samples = sample(served, scaler_X)
    if mlflow.active_run():
        return register(name, served, samples, usual)
    with tracking.run(EXPERIMENT):
        return register(name, served, samples, usual)


def registered_name(model_id: str) -> str:
    """Give the registered model of an id, `keras-<id>`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", model_id):
        raise InputError(
            f"{model_id!r} is no model id: use 1 to 64 letters, digits, underscores and hyphens."
        )
    return PREFIX + model_id


def register(
    name: str, served: keras.Model, samples: Samples, usual: Usual | None = None
) -> ModelVersion:
    """Store a served model under the active run as a new version."""
    return tracking.register(
        name,
        save=lambda path: save(served, path),
        samples=samples,
        libraries=LIBRARIES,
        load=load,
        usual=usual,
    )


def table(rows: Floats) -> pd.DataFrame:
    """Name the columns of rows (n, columns) as services do: by their places."""
    return pd.DataFrame(rows, columns=[str(place) for place in range(rows.shape[1])])


def sample(served: keras.Model, scaler_X: Scaler) -> Samples:
    """Make rows like those that the input scaler saw, and answer them."""
    scaling = read_scaler("scaler_X", scaler_X, width(served, "input"))
    normal = np.random.default_rng(SEED).normal(size=(MOST_SAMPLES, len(scaling.center)))
    rows = scaling.center + scaling.spread * normal
    answers = answer(served, rows)
    if not np.isfinite(answers).all():
        raise InputError("The model answers rows like its training's with no finite numbers.")
    # Other processors may differ in the last of float32's digits, most of all near zero.
    return Samples(rows, answers, rtol=1e-4, atol=1e-5 * float(np.abs(answers).max()))


def save(served: keras.Model, path: Path) -> None:
    """Write a served model as MLflow's keras flavor."""
    mlflow.keras.save_model(
        served,
        str(path),
        signature=signature(served),
        pip_requirements=tracking.requirements(LIBRARIES),
    )


def signature(served: keras.Model) -> ModelSignature:
    """Rows in, predictions and confidence out."""
    double = np.dtype("float64")
    inputs, outputs = width(served, "input"), width(served, "output")
    return ModelSignature(
        Schema([TensorSpec(double, (-1, inputs))]), Schema([TensorSpec(double, (-1, outputs))])
    )


def load(path: Path) -> Predict:
    """Read a saved model back."""
    model = keras.saving.load_model(path / "data" / "model.keras", compile=False, safe_mode=True)
    return lambda rows: answer(model, rows)
