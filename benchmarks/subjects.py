"""The models of the comparison: trained, registered, promoted, and what they answer alone."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from pandas.api.types import is_numeric_dtype

import mlflow
from benchmarks.peers.loaded import load
from mlflow import MlflowClient

os.environ.setdefault("KERAS_BACKEND", "torch")
ROWS = 2000  # to train with
ASKED = 8  # rows that are asked for, one in each round
WORDS = ("Rosario", "Córdoba", "Salta", "La Paz", "Lima")
NUMBERS = [f"x{at}" for at in range(10)]
CONTUGAS = "contugas-anomaly"


@dataclass(frozen=True)
class Subject:
    """A registered model, rows that nobody chose, and its own answers to them, as numbers."""

    kind: str
    name: str
    folder: str
    columns: dict[str, str]  # "number" or "text"
    rows: list[list[Any]]
    answers: list[list[float]]
    tensor: bool = False


def subjects(uri: str, folder: str, kinds: Sequence[str]) -> Iterator[Subject]:
    """Those of these kinds, or all, in a registry."""
    mlflow.set_tracking_uri(uri)
    made = {
        "contugas": (_contugas, _readings(ASKED)),
        "forest": (_forest, _numbers(ASKED, 1)),
        "CatBoost": (_catboost, _mixed(ASKED, 1)),
        "Keras": (_keras, _numbers(ASKED, 1).astype(np.float32)),
    }
    for kind, (log, rows) in made.items():
        if kind in kinds or not kinds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield _subject(kind, log(), folder, rows, tensor=kind == "Keras")


def _contugas() -> str:
    command = [sys.executable, "-m", "training.contugas", "--promote"]
    env = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return CONTUGAS


def _subject(
    kind: str, name: str, folder: str, rows: pd.DataFrame, tensor: bool = False
) -> Subject:
    place = f"{folder}/{kind}"
    mlflow.artifacts.download_artifacts(f"models:/{name}/1", dst_path=place)
    values = rows.to_numpy().tolist()
    answers = np.asarray(load(kind, place)(values), dtype=np.float64).reshape(ASKED, -1)
    columns = {name: "number" if is_numeric_dtype(rows[name]) else "text" for name in rows.columns}
    return Subject(kind, name, place, columns, values, answers.tolist(), tensor)


def _readings(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(1)
    drawn = random.normal(17, 1.5, rows), random.normal(22, 6, rows), random.gamma(2, 40, rows)
    return pd.DataFrame(dict(zip(("presion", "temperatura", "volumen"), drawn, strict=True)))


def _numbers(rows: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(rows, 10)), columns=NUMBERS)


def _mixed(rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    words = {f"word{at}": random.choice(WORDS, rows).astype(object) for at in range(3)}
    return _numbers(rows, seed)[NUMBERS[:5]].assign(**words)


def _target(table: pd.DataFrame) -> Any:
    return (table["x0"] * table["x1"] + table["x2"] ** 2 + table["x3"]).to_numpy()


def _forest() -> str:
    import mlflow.sklearn
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = _numbers(ROWS, 0)
    model = make_pipeline(StandardScaler(), RandomForestRegressor(100, random_state=0))
    model.fit(table.to_numpy(), _target(table))
    told = {"input_example": table[:5], "serialization_format": "cloudpickle"}
    return _logged("forest", mlflow.sklearn, model, **told)


def _catboost() -> str:
    import mlflow.catboost
    from catboost import CatBoostRegressor

    table = _mixed(ROWS, 0)
    model = CatBoostRegressor(iterations=500, verbose=False, allow_writing_files=False)
    model.fit(table, _target(table), cat_features=[5, 6, 7])
    return _logged("catboost", mlflow.catboost, model, input_example=table[:5])


def _keras() -> str:
    import keras
    import mlflow.keras

    keras.utils.set_random_seed(0)
    table = _numbers(ROWS, 0).astype(np.float32)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((10,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    given = table.to_numpy()
    model.fit(given, _target(table), epochs=3, verbose=0)
    signature = infer_signature(given[:5], model.predict(given[:5], verbose=0))
    return _logged("keras", mlflow.keras, model, signature=signature)


def _logged(name: str, flavor: Any, model: Any, **options: Any) -> str:
    name = f"bench-{name}"
    with mlflow.start_run():
        flavor.log_model(
            model, name="model", registered_model_name=name, pip_requirements=[], **options
        )
    MlflowClient().transition_model_version_stage(name, "1", "Production")
    return name
