"""From prices to five registered models."""

import logging
from collections.abc import Sequence
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import skops.io
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Schema
from sklearn.pipeline import Pipeline

import mlflow
from training import tracking
from training.cripto import evaluate, figures, prices, store
from training.cripto.evaluate import Examples, Walk, outcome
from training.cripto.models import Kind, Learner, learners, pipeline
from training.cripto.names import FEATURES, OUTPUTS
from training.cripto.settings import Settings
from training.cripto.synthetic import synthetic
from training.data import Dataset, digest, synthetic_dataset
from training.errors import InputError
from training.manifest import Predict, Samples

LIBRARIES = ("scikit-learn", "numpy", "skops")
TRUSTED = ["numpy.dtype", "sklearn.tree._tree.Tree"]
SAMPLES = 48

log = logging.getLogger("training")


def launch(locations: Sequence[str], settings: Settings) -> list[ModelVersion]:
    """Train on files, or on a store (`s3://bucket/prefix/`), or on made coins; register all five.

    Raises `InputError` for files that cannot be used or learned from.
    """
    dataset, dropped = gather(locations, settings)
    dataset.announce()
    given = evaluate.examples(dataset.table, settings.folds)
    return [fit_one(learner, dataset, dropped, given, settings) for learner in learners(settings)]


def gather(locations: Sequence[str], settings: Settings) -> tuple[Dataset, int]:
    """Clean prices, and how many rows were dropped from what was read."""
    if not locations:
        made = synthetic(settings.synthetic)
        return synthetic_dataset("cripto", settings.synthetic.seed, made), 0
    tables, dropped = [], 0
    for location in locations:
        if location.endswith("/"):
            tables.append(store.open_store(location).table())
            continue
        read = prices.read(location)
        log.info("%s", read.described())
        tables.append(read.table)
        dropped += read.rows - len(read.table)
    table = prices.combine(tables)
    if table.empty:
        raise InputError(f"{', '.join(locations)}: there are no prices.")
    return Dataset("cripto", ", ".join(locations), digest(table), table), dropped


def fit_one(
    learner: Learner, dataset: Dataset, dropped: int, given: Examples, settings: Settings
) -> ModelVersion:
    """Judge one model on days unseen, fit it to all, register it: a run of its own."""
    classify = learner.kind == "classifier"
    model = pipeline(learner.estimator)
    with tracking.run(settings.experiment):
        mlflow.set_tag("mlflow.runName", learner.name)
        tracking.log_dataset(dataset, dropped)
        tracking.log_settings(settings)
        walked = evaluate.walk(model, given, settings.folds, classify, learner.name)
        log_result(learner, given, walked, classify)
        model.fit(given.X, given.rises if classify else given.returns)
        return tracking.register(
            learner.model,
            save=lambda path: save(model, learner.kind, path),
            samples=sample(model, given, classify),
            libraries=LIBRARIES,
            load=lambda path: load(path, learner.kind),
        )


def log_result(learner: Learner, given: Examples, walked: Walk, classify: bool) -> None:
    """Log the figures beside their baselines', as numbers, in words, and as a picture."""
    measure = evaluate.classification_metrics if classify else evaluate.regression_metrics
    metrics = measure(given, walked)
    mlflow.log_metrics(metrics)
    baseline = "majority" if classify else "naive"
    for name, verdict in evaluate.verdicts(metrics).items():
        mlflow.set_tag(f"ascenso.{name}_against_{baseline}", verdict)
        reached, simple = metrics[name], metrics[f"{baseline}.{name}"]
        words = (learner.name, name, reached, verdict, baseline, simple)
        log.info("%s: %s %.6g, %s than %s (%.6g)", *words)
    figure = figures.predictions(given, walked, classify)
    mlflow.log_figure(figure, "figures/predictions.png")


def sample(model: Pipeline, given: Examples, classify: bool) -> Samples:
    """Choose days from the lowest to the highest prediction."""
    order = np.argsort(outcome(model, given.X, classify))
    rows = order[np.unique(np.linspace(0, len(order) - 1, SAMPLES).astype(int))]
    X = given.X[rows]
    outputs = model.predict_proba(X) if classify else model.predict(X)
    return Samples(pd.DataFrame(X, columns=list(FEATURES)), outputs, rtol=1e-4, atol=1e-6)


def save(model: Pipeline, kind: Kind, path: Path) -> None:
    """Write the model as MLflow's sklearn flavor, in skops format."""
    mlflow.sklearn.save_model(
        model,
        path,
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.double, name) for name in FEATURES]),
            outputs=Schema([ColSpec(DataType.double, name) for name in OUTPUTS[kind]]),
        ),
        pip_requirements=tracking.requirements(LIBRARIES),
        pyfunc_predict_fn=predict_fn(kind),
    )


def load(path: Path, kind: Kind) -> Predict:
    """Read a saved model back, trusting our own names only."""
    model = skops.io.load(path / "model.skops", trusted=TRUSTED)
    predict = getattr(model, predict_fn(kind))
    return lambda samples: predict(samples.to_numpy())


def predict_fn(kind: Kind) -> str:
    """The method that answers."""
    return "predict_proba" if kind == "classifier" else "predict"
