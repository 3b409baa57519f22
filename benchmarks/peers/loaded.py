"""A model of the benchmark as its own library loads it: the folder is BENCHMARK_MODEL."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Predict = Callable[[Sequence[Sequence[Any]]], Any]


def load(kind: str, folder: str) -> Predict:
    """What answers lists of values, in the columns' order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return KINDS[kind](folder)


def loaded() -> Predict:
    """The model that this process shall serve."""
    return load(os.environ["BENCHMARK_KIND"], os.environ["BENCHMARK_MODEL"])


def _contugas(folder: str) -> Predict:
    from bentos.flavors.loading import load
    from bentos.flavors.mlmodel import MLmodel

    model: Any = load(MLmodel(Path(folder))).model
    return lambda rows: model.predict(np.array(rows, dtype=np.float64))


def _forest(folder: str) -> Predict:
    import mlflow.sklearn

    model = mlflow.sklearn.load_model(folder)
    model[-1].n_jobs = 1
    return lambda rows: model.predict(np.array(rows, dtype=np.float64))


def _catboost(folder: str) -> Predict:
    import mlflow.catboost

    model = mlflow.catboost.load_model(folder)
    return lambda rows: model.predict(rows, thread_count=1)


def _keras(folder: str) -> Predict:
    os.environ["KERAS_BACKEND"] = "torch"
    import mlflow.keras
    import torch

    torch.set_num_threads(1)
    model = mlflow.keras.load_model(folder)

    def predict(rows: Sequence[Sequence[Any]]) -> Any:
        with torch.inference_mode():  # a tenth of what `model.predict` takes
            return model(np.array(rows, dtype=np.float32)).numpy()

    return predict


KINDS: dict[str, Callable[[str], Predict]] = {
    "contugas": _contugas, "forest": _forest, "CatBoost": _catboost, "Keras": _keras,
}  # fmt: skip
