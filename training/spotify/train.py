"""A whole training run: songs in, a registered version out."""

import logging
from dataclasses import asdict
from pathlib import Path

import mlflow.catboost
import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import mlflow
from training import tracking
from training.data import read_dataset
from training.manifest import MOST_SAMPLES, Predict, Samples
from training.spotify import figures
from training.spotify.features import FEATURES, NAMES, OUTPUT, UNKNOWN, popularity
from training.spotify.recipe import Result, train
from training.spotify.settings import Settings
from training.spotify.songs import COLUMNS, Songs, clean, synthetic
from training.usual import Usual

MODEL = "spotify-popularity"
LIBRARIES = ("catboost", "numpy")
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType[feature.kind], feature.name) for feature in FEATURES]),
    outputs=Schema([ColSpec(DataType.double, OUTPUT)]),
)

log = logging.getLogger("training")


def launch(data: str | None, settings: Settings) -> ModelVersion:
    """Train on a path or URL, or on made songs without one; register the model."""
    dataset = read_dataset(data, COLUMNS, NAMES) if data else synthetic(settings.synthetic)
    dataset.announce()
    songs = clean(dataset)
    with tracking.run(settings.experiment):
        tracking.log_dataset(dataset, songs.dropped)
        tracking.log_settings(settings)
        result = train(songs, settings)
        log_result(result)
        return tracking.register(
            MODEL,
            save=lambda path: save(result.model, path),
            samples=sample(result),
            libraries=LIBRARIES,
            load=load,
            usual=usual(songs, result),
        )


def log_result(result: Result) -> None:
    """Log the run's figures, as numbers, in the log, and as pictures."""
    baseline = {f"median_{key}": value for key, value in asdict(result.baseline).items()}
    mlflow.log_metrics({**asdict(result.scores), **baseline, "trees": result.model.tree_count_})
    for name, scores in (("CatBoost", result.scores), ("the median", result.baseline)):
        log.info(
            "Test, %s: RMSE %.3f  MAE %.3f  R2 %.4f", name, scores.rmse, scores.mae, scores.r2
        )
    if result.scores.rmse >= result.baseline.rmse:
        log.warning("The model is no better than always answering the median.")
    mlflow.log_figure(figures.importances(result), "figures/importances.png")
    mlflow.log_figure(figures.learning_curve(result), "figures/learning_curve.png")


def sample(result: Result) -> Samples:
    """Choose songs of the test part from the least to the most popular answer."""
    answers = np.asarray(result.model.predict(result.test))
    even = np.linspace(0, len(answers) - 1, min(len(answers), MOST_SAMPLES)).astype(int)
    chosen = np.argsort(answers)[even]
    # The answers are shown with two decimals: other processors may differ far behind them.
    return Samples(result.test.iloc[chosen], answers[chosen], rtol=1e-6, atol=1e-4)


def usual(songs: Songs, result: Result) -> Usual:
    """Describe the songs, with unknown names as missing, and the answers to the test part."""
    inputs = songs.rows.replace(dict.fromkeys(NAMES, UNKNOWN), None)
    answers = popularity(result.model.predict(result.test))
    return Usual(inputs, pd.DataFrame({OUTPUT: answers}))


def save(model: CatBoostRegressor, path: Path) -> None:
    """Write the model as MLflow's CatBoost flavor, in CatBoost's own binary format."""
    mlflow.catboost.save_model(
        model,
        path,
        signature=SIGNATURE,
        pip_requirements=tracking.requirements(LIBRARIES),
        format="cbm",
    )


def load(path: Path) -> Predict:
    """Read a saved model back."""
    model = CatBoostRegressor().load_model(str(path / "model.cb"), format="cbm")
    predict: Predict = model.predict
    return predict
