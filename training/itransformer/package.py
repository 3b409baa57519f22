"""A forecaster as an MLflow model: what `itransformer-<name>` is registered as."""

from pathlib import Path

import mlflow.pyfunc
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Schema, TensorSpec

from training import tracking
from training.itransformer import pyfunc
from training.itransformer.bands import BANDS
from training.itransformer.forecaster import CONFIG, WEIGHTS, Config, Floats, Forecaster, read
from training.itransformer.frames import Series
from training.itransformer.model import MARKS
from training.itransformer.names import FLAVOR, registered_name
from training.manifest import Samples

LIBRARIES = ("torch", "safetensors", "numpy")
SAMPLES = 8
# A batch of one and a batch of many are summed in another order: float32, in standardised units.
CLOSE = 1e-4


def register(name: str, forecaster: Forecaster, series: Series) -> ModelVersion:
    """Make a forecaster a new version of `itransformer-<name>`, under the active run.

    `series` gives its sample inputs: windows from the first to the last.
    """
    return tracking.register(
        registered_name(name),
        save=lambda path: save(forecaster, path),
        samples=sample(forecaster, series.rows()),
        libraries=LIBRARIES,
        load=lambda path: read(path).predict,
    )


def sample(forecaster: Forecaster, rows: Floats) -> Samples:
    """Forecast windows of rows (rows, columns + 4), evenly apart."""
    seq_len = forecaster.config.architecture.seq_len
    starts = np.linspace(0, len(rows) - seq_len, SAMPLES).astype(int)
    windows = np.stack([rows[start : start + seq_len] for start in starts])
    atol = CLOSE * max(forecaster.config.scale)
    return Samples(windows, forecaster.predict(windows), rtol=CLOSE, atol=atol)


def save(forecaster: Forecaster, path: Path) -> None:
    """Write a model folder: MLmodel, the forecaster's files, and what MLflow wants of a model."""
    config = forecaster.config
    files = {"weights": WEIGHTS, "config": CONFIG}
    if forecaster.bands:
        files["bands"] = BANDS
    model = Model(signature=signature(config), metadata=config.metadata())
    mlflow.pyfunc.save_model(
        path,
        loader_module=pyfunc.__name__,
        mlflow_model=model.add_flavor(FLAVOR, **files),
        pip_requirements=tracking.requirements(LIBRARIES),
    )
    forecaster.save(path)


def signature(config: Config) -> ModelSignature:
    """Windows (-1, seq_len, N + 4) in, forecasts (-1, pred_len, N) out, float64."""
    shape, columns = config.architecture, len(config.columns)
    double = np.dtype(np.float64)
    return ModelSignature(
        Schema([TensorSpec(double, (-1, shape.seq_len, columns + MARKS))]),
        Schema([TensorSpec(double, (-1, shape.pred_len, columns))]),
    )
