"""Models that MLflow saves: five with signatures of different kinds, two without any."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ParamSchema
from mlflow.types import Schema as MlflowSchema
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

with warnings.catch_warnings():  # mlflow's own, of its type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

HOMES = pd.DataFrame(
    {
        "rooms": np.arange(40) % 7 + 1,
        "size": np.linspace(20, 200, 40),
        "city": ["Rosario", "Córdoba"] * 20,
        "garden": np.arange(40) % 3 == 0,
        "floor": np.arange(40) % 5 * 1.0,
    }
)
PRICE = 3.0 * HOMES["size"] + 10 * HOMES["rooms"]
TEXTS = ["so good", "so bad", "good", "bad"] * 10
OBJECTS = [{"PU_DO": f"{at % 5}_1", "distance": at / 2} for at in range(40)]


def _columns(*entries: str) -> list[dict[str, Any]]:
    """Columns written as `type name`; the name of an optional one ends with `?`."""
    made = []
    for entry in entries:
        kind, _, name = entry.partition(" ")
        column = {"type": kind, "required": not name.endswith("?")}
        made.append(column | ({"name": name.rstrip("?")} if name else {}))
    return made


def _tensor(dtype: str, *shape: int) -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *shape]}}]


def _table() -> Any:
    kinds = OneHotEncoder(handle_unknown="ignore")
    numbers = ["rooms", "size", "garden", "floor"]
    apart = make_column_transformer((SimpleImputer(), numbers), (kinds, ["city"]))
    return make_pipeline(apart, LinearRegression()).fit(HOMES, PRICE)


def _labels() -> Any:
    side = np.where(PRICE.median() < PRICE, "dear", "cheap")
    return LogisticRegression(max_iter=500).fit(HOMES[["size"]].to_numpy(), side)


def _texts() -> Any:
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0] * 10)


def _objects() -> Any:
    return make_pipeline(DictVectorizer(), LinearRegression()).fit(OBJECTS, PRICE)


def _pair() -> Any:
    return LinearRegression().fit(HOMES[["rooms", "size"]].to_numpy(), PRICE)


PARAMS = [{"name": "t", "type": "double", "default": 0.5, "shape": None}]
TABLE = _columns("long rooms", "double size", "string city", "boolean garden", "double floor?")
MODELS: Mapping[str, tuple[Callable[[], Any], list[dict[str, Any]] | None]] = {
    "table": (_table, TABLE),
    "one": (_labels, _columns("double x")),
    "matrix": (_pair, _tensor("float64", 2)),
    "places": (_pair, _columns("double", "double")),
    "texts": (_texts, _columns("string")),
    "bare": (lambda: LinearRegression().fit(HOMES[["rooms", "size"]], PRICE), None),
    "objects": (_objects, None),
}


def save(name: str, folder: Path) -> Path:
    """Write a model as MLflow does; those of unnamed places have a param."""
    make, inputs = MODELS[name]
    signature: Any = False
    if inputs is not None:
        params: Any = ParamSchema.from_json(json.dumps(PARAMS)) if name == "places" else None
        signature = ModelSignature(MlflowSchema.from_json(json.dumps(inputs)), None, params)
    place = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            make(), str(place), serialization_format="cloudpickle", signature=signature,
            pip_requirements=["x"],
        )  # fmt: skip
    return place
