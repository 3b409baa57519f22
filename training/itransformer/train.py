"""A whole training run: rows in, a registered version out."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from mlflow.entities.model_registry import ModelVersion

import mlflow
from mlflow import MlflowClient
from training import tracking
from training.data import Dataset, read_dataset
from training.errors import InputError
from training.itransformer import figures, package
from training.itransformer.bands import Bands
from training.itransformer.calibration import calibrate, coverage
from training.itransformer.forecaster import Forecaster, read
from training.itransformer.frames import Series, from_dataset
from training.itransformer.names import registered_name
from training.itransformer.plan import Plan, plan_fine_tuning, plan_training
from training.itransformer.recipe import Epoch, Errors, evaluate, fit, naive, never
from training.itransformer.settings import Settings
from training.itransformer.synthetic import synthetic

log = logging.getLogger("training")

STATE_TAG = "serving.state"  # the services write it


def launch(name: str, data: str | None, settings: Settings) -> ModelVersion:
    """Train on a path or URL, or on made series without one; register the model."""
    registered_name(name)
    dataset = read_dataset(data) if data else synthetic(settings.synthetic)
    dataset.announce()
    torch.set_num_threads(settings.threads)
    plan = plan_training(from_dataset(dataset), settings.recipe)
    with tracking.run(settings.experiment):
        return carry_out(name, plan, dataset)


def launch_fine_tuning(name: str, data: str, settings: Settings) -> ModelVersion:
    """Go on training what serves as `name`; register a new version of it."""
    dataset = read_dataset(data)
    dataset.announce()
    torch.set_num_threads(settings.threads)
    series = from_dataset(dataset)
    with tracking.run(settings.experiment):
        return carry_out(name, plan_going_on(name, series, settings), dataset)


def plan_going_on(name: str, series: Series, settings: Settings) -> Plan:
    """Plan to fine-tune a model, and note on the active run from which version."""
    version = serving(name)
    mlflow.set_tag("ascenso.fine_tuned_from", f"{version.name}/{version.version}")
    return plan_fine_tuning(series, fetch(version), settings.recipe, settings.fine_tuning)


def serving(name: str) -> ModelVersion:
    """Give the version that the services say is live, else the one in Production, or the newest.

    Raises `InputError` without any.
    """
    found = MlflowClient().search_model_versions(f"name='{registered_name(name)}'")
    if not found:
        raise InputError(f"There is no model {name!r}: train it first.")
    return max(found, key=precedence)


def precedence(version: ModelVersion) -> tuple[bool, bool, int]:
    """Where services run, they know best; a registry alone has only its stages."""
    live = version.tags.get(STATE_TAG) == "live"
    return live, version.current_stage == "Production", int(version.version)


def fetch(version: ModelVersion) -> Forecaster:
    """Download a version and read it."""
    with tempfile.TemporaryDirectory() as folder:
        uri = f"models:/{version.name}/{version.version}"
        return read(Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder)))


def carry_out(
    name: str, plan: Plan, dataset: Dataset, stopped: Callable[[], bool] = never
) -> ModelVersion:
    """Train under the active run, tell it each epoch, and register the outcome.

    Raises `Cancelled` when `stopped` says so before the training is done.
    """
    tracking.log_dataset(dataset, dropped=0)
    tracking.log_settings(plan.recipe)
    parts = plan.split
    epochs = fit(plan.network, parts.train, parts.validation, plan.recipe, tell, stopped)
    bands = calibrate(plan.network, parts.validation, parts.scaler)
    forecaster = replace(plan.forecaster(), bands=bands)
    log_result(plan, forecaster, epochs)
    log_coverage(plan, bands)
    return package.register(name, forecaster, plan.series)


def tell(epoch: Epoch) -> None:
    """Log an epoch, live: the MLflow UI draws its curves as they grow."""
    epoch.announce()
    losses = {"train_loss": epoch.train_loss, "val_loss": epoch.val_loss}
    mlflow.log_metrics(losses, step=epoch.number)


def log_result(plan: Plan, forecaster: Forecaster, epochs: list[Epoch]) -> None:
    """Log errors on rows unseen, beside those of the last value repeated, and pictures."""
    metrics: dict[str, float] = {}
    for part, windows in (("val", plan.split.validation), ("test", plan.split.test)):
        reached, simple = evaluate(plan.network, windows), naive(windows)
        metrics |= named(part, reached) | named(f"naive.{part}", simple)
        log.info(
            "%s: MSE %.4f, MAE %.4f (the last value repeated: %.4f, %.4f)",
            *(part, *reached, *simple),
        )
    mlflow.log_metrics(metrics)
    mlflow.log_figure(figures.losses(epochs, metrics["naive.val_mse"]), "figures/losses.png")
    held_out = len(plan.split.test) + plan.recipe.pred_len - 1
    figure = figures.forecasts(forecaster, plan.series, held_out)
    mlflow.log_figure(figure, "figures/forecasts.png")


def log_coverage(plan: Plan, bands: Bands) -> None:
    """Log which share of the rows unseen lies within the bands of each level, in percent."""
    found = coverage(bands, plan.network, plan.split.test)
    mlflow.log_metrics({f"test_coverage_{held.level * 100:g}": held.covered for held in found})


def named(part: str, errors: Errors) -> dict[str, float]:
    """Metrics of one part of the rows."""
    return {f"{part}_mse": errors.mse, f"{part}_mae": errors.mae}
