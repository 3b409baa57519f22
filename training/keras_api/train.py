"""A whole training run: rows in, a registered version out."""

import logging

from mlflow.entities.model_registry import ModelVersion

import mlflow
from training import tracking
from training.data import read_dataset
from training.keras_api import figures
from training.keras_api.example import COLUMNS, split, synthetic
from training.keras_api.graph import answer, served_model
from training.keras_api.recipe import Result, measure, train
from training.keras_api.registration import guardar_modelo, table
from training.keras_api.settings import Settings
from training.usual import Usual

MODEL_ID = "default"

log = logging.getLogger("training")


def launch(data: str | None, settings: Settings) -> ModelVersion:
    """Train on a path or URL, or on made rows without one; register the model."""
    dataset = read_dataset(data, COLUMNS) if data else synthetic(settings.synthetic)
    dataset.announce()
    parts = split(dataset, settings)
    with tracking.run(settings.experiment):
        tracking.log_dataset(dataset, parts.dropped)
        tracking.log_settings(settings)
        result = train(parts, settings, watch=log_epoch)
        served = served_model(result.model, result.input_scaler, result.output_scaler)
        log_result(result, measure(served, parts.test))
        usual = Usual(table(parts.train.X), table(answer(served, parts.test.X)))
        scalers = result.input_scaler, result.output_scaler
        return guardar_modelo(MODEL_ID, result.model, *scalers, usual)


def log_epoch(epoch: int, losses: dict[str, float]) -> None:
    """Log the losses of an epoch, while the run goes on."""
    mlflow.log_metrics(losses, step=epoch)


def log_result(result: Result, scores: dict[str, float]) -> None:
    """Log the run's figures, as numbers, in the log, and as a picture."""
    mlflow.log_metrics(scores)
    line = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
    log.info("Test: %s", line)
    mlflow.log_figure(figures.loss_curves(result.losses), "figures/loss.png")
