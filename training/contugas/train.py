"""A whole training run: readings in, a registered version out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import skops.io
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.tree._tree import Tree

import mlflow
from training import tracking
from training.contugas import figures
from training.contugas.model import (
    FIELDS,
    OUTPUTS,
    AnomalyModel,
    ClusterModel,
    Floats,
    Ints,
)
from training.contugas.readings import CLIENT, COLUMNS, Readings, clean, synthetic
from training.contugas.recipe import Result, train
from training.contugas.settings import Settings
from training.data import read_dataset
from training.manifest import MOST_SAMPLES, Predict, Samples
from training.usual import Usual

MODEL = "contugas-anomaly"
SAMPLED = 50_000  # readings answered
LIBRARIES = ("scikit-learn", "numpy", "skops")
TRUSTED = [f"{kind.__module__}.{kind.__qualname__}" for kind in (AnomalyModel, ClusterModel, Tree)]
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.double, field) for field in FIELDS]),
    outputs=Schema([ColSpec(DataType.long, output) for output in OUTPUTS]),
)

log = logging.getLogger("training")


def launch(data: str | None, settings: Settings) -> ModelVersion:
    """Train on a path or URL, or on made readings without one; register the model."""
    dataset = read_dataset(data, COLUMNS, [CLIENT]) if data else synthetic(settings.synthetic)
    dataset.announce()
    readings = clean(dataset, least_clients=settings.clusters + 1)
    with tracking.run(settings.experiment):
        tracking.log_dataset(dataset, readings.dropped)
        tracking.log_settings(settings)
        result = train(readings, settings)
        log_result(readings, result)
        answered = Answered.of(readings, result.model, settings)
        return tracking.register(
            MODEL,
            save=lambda path: save(result.model, path),
            samples=sample(answered),
            libraries=LIBRARIES,
            load=load,
            usual=usual(readings, answered),
        )


def log_result(readings: Readings, result: Result) -> None:
    """Log the run's figures, as numbers, in the log, and as pictures."""
    metrics = {"silhouette": result.silhouette}
    log.info("Silhouette of the %d client means: %.4f", len(result.means), result.silhouette)
    for cluster, report in enumerate(result.clusters):
        values = report.metrics()
        metrics |= {f"cluster_{cluster}.{key}": value for key, value in values.items()}
        line = "  ".join(f"{key} {value:.10g}" for key, value in values.items())
        log.info("Cluster %d: %s", cluster, line)
        mlflow.log_figure(figures.scores(cluster, report), f"figures/scores_{cluster}.png")
    mlflow.log_metrics(metrics)
    mlflow.log_figure(figures.clusters(readings, result), "figures/clusters.png")


@dataclass(frozen=True)
class Answered:
    """Some of the readings, by chance: `X` (n, 3), and the model's `answers` (n, 2)."""

    X: Floats
    answers: Ints

    @classmethod
    def of(cls, readings: Readings, model: AnomalyModel, settings: Settings) -> "Answered":
        """Those that a model answers."""
        rng = np.random.default_rng(settings.random_state)
        X = readings.X[rng.permutation(len(readings.X))[:SAMPLED]]
        return cls(X, model.predict(X))


def sample(answered: Answered) -> Samples:
    """Choose readings that get every cluster and answer that the data gets."""
    kinds, kind = np.unique(answered.answers, axis=0, return_inverse=True)
    each = MOST_SAMPLES // len(kinds)
    chosen = np.concatenate([np.flatnonzero(kind == k)[:each] for k in range(len(kinds))])
    return Samples(
        named(answered.X[chosen], FIELDS),
        named(answered.answers[chosen], OUTPUTS),
    )


def usual(readings: Readings, answered: Answered) -> Usual:
    """Describe the readings, and the answers to some of them."""
    return Usual(named(readings.X, FIELDS), named(answered.answers, OUTPUTS))


def named(rows: Floats | Ints, names: Sequence[str]) -> pd.DataFrame:
    """Give rows (n, names) as a table."""
    return pd.DataFrame(rows, columns=list(names))


def save(model: AnomalyModel, path: Path) -> None:
    """Write the model as MLflow's sklearn flavor, in skops format."""
    mlflow.sklearn.save_model(
        model,
        path,
        serialization_format="skops",
        skops_trusted_types=TRUSTED,
        signature=SIGNATURE,
        pip_requirements=tracking.requirements(LIBRARIES),
    )


def load(path: Path) -> Predict:
    """Read a saved model back, trusting our own names only."""
    model = skops.io.load(path / "model.skops", trusted=TRUSTED)
    predict: Predict = model.predict
    return predict
