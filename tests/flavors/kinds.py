"""Fitted models of each flavor, small ones."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from mlflow.types import ColSpec
from mlflow.types import Schema as MlflowSchema
from numpy.typing import NDArray

import mlflow
from bentos.process import skops_io
from tests.flavors.graphs.tables import TEXTS
from tests.flavors.logged import (
    LEVELS,
    MIXED,
    NUMERIC,
    PAID,
    SENTENCES,
    SPACED,
    TABLE,
    VALUES,
    Case,
    described,
)


def _sklearn(model: Any, path: str, **more: Any) -> None:
    skops = skops_io()
    trusted = skops.get_untrusted_types(data=skops.dumps(model))
    mlflow.sklearn.save_model(
        model, path, serialization_format="skops", skops_trusted_types=trusted, **more
    )


def pickled(model: Any, path: str, **more: Any) -> None:
    """As MLflow's autolog saves every scikit-learn model."""
    mlflow.sklearn.save_model(model, path, serialization_format="cloudpickle", **more)


def _scaled() -> Case:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE[NUMERIC], LEVELS)
    return described(model, _sklearn, "table", NUMERIC)


def _forest() -> Case:
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(5, random_state=0).fit(TABLE[NUMERIC].to_numpy(), VALUES)
    return described(model, _sklearn, "matrix", NUMERIC)


def _by_names(handle: str) -> Case:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    apart = make_column_transformer(
        (numbers, ["price", "quantity"]), (OneHotEncoder(handle_unknown=handle), list(TEXTS))
    )
    model = make_pipeline(apart, Ridge()).fit(TABLE[MIXED], VALUES)
    return described(
        model, _sklearn, "table", MIXED, None, "refused" if handle == "error" else "answered"
    )


def _objects() -> Case:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    columns = ["quantity", "city"]
    given = TABLE[columns].to_dict("records")
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=500)).fit(given, PAID)
    signed = MlflowSchema([ColSpec("long", "quantity"), ColSpec("string", "city")])
    return described(model, _sklearn, "objects", columns, inputs=signed)


def _texts() -> Case:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(SENTENCES, LEVELS)
    return described(model, _sklearn, "texts", [], inputs=MlflowSchema([ColSpec("string")]))


def _catboost(columns: list[str], words: list[str]) -> Case:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False)
    model.fit(TABLE[columns], LEVELS, cat_features=words)
    return described(model, mlflow.catboost.save_model, "table", columns)


def _categorical(columns: list[str]) -> pd.DataFrame:
    table = TABLE[columns].copy()
    for name in set(TEXTS) & set(columns):
        table[name] = pd.Categorical(table[name])
    return table


def _as_fitted(fitted: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Texts as the categories of the training; others are missing."""

    def table(given: pd.DataFrame) -> pd.DataFrame:
        known = {n: d for n, d in fitted.dtypes.items() if isinstance(d, pd.CategoricalDtype)}
        given = given.copy()
        for name, dtype in known.items():
            text = given[name].where(given[name].isin(dtype.categories), None)
            given[name] = pd.Categorical(text, dtype=dtype)
        return given

    return table


def _xgboost(columns: list[str], booster: bool, array: bool = False) -> Case:
    import xgboost

    table: Any = _categorical(columns)
    ready = _as_fitted(table)
    save = mlflow.xgboost.save_model
    strangers = "refused" if "city" in columns else "answered"
    if booster:
        model = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(
            table, VALUES, enable_categorical=True), 4)  # fmt: skip

        def answers(given: pd.DataFrame) -> NDArray[Any]:
            matrix = xgboost.DMatrix(ready(given), enable_categorical=True)
            return np.asarray(model.predict(matrix))

        return described(model, save, "table", columns, answers, strangers)
    wrapper = xgboost.XGBClassifier(n_estimators=4, enable_categorical=True)
    wrapper.fit(table.to_numpy(np.float64) if array else table, PAID)
    if array:
        return described(wrapper, save, "matrix", columns)
    asked = lambda given: wrapper.predict(ready(given))  # noqa: E731
    return described(wrapper, save, "table", columns, asked, strangers)


def _lightgbm(booster: bool) -> Case:
    import lightgbm

    columns = list(SPACED)
    table = _categorical(columns).rename(columns=SPACED)
    ready = _as_fitted(table)
    save: Any = partial(
        mlflow.lightgbm.save_model,
        skops_trusted_types=["sklearn.preprocessing._label.LabelEncoder"],
    )
    if booster:
        save = mlflow.lightgbm.save_model
    if booster:
        data = lightgbm.Dataset(table, VALUES)
        model = lightgbm.train({"verbose": -1}, data, 4)
    else:
        model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1).fit(table, LEVELS)
    return described(model, save, "spaced", columns, lambda given: model.predict(ready(given)))


def _forget_signature(folder: Path) -> None:
    """What MLflow infers from an example, taken out again."""
    content = yaml.safe_load((folder / "MLmodel").read_text())
    content.pop("signature", None)
    (folder / "MLmodel").write_text(yaml.safe_dump(content))


def _keras_save(model: Any, path: str, signature: Any, **more: Any) -> None:
    Path(path).mkdir()  # MLflow writes the example before it makes the folder
    mlflow.keras.save_model(model, path, signature=signature or None, **more)
    if not signature:
        _forget_signature(Path(path))


def _torch_save(model: Any, path: str, signature: Any, **more: Any) -> None:
    mlflow.pytorch.save_model(model, path, signature=signature or None, **more)
    if not signature:
        _forget_signature(Path(path))


def _keras() -> Case:
    from bentos.process import keras_on_torch

    keras = keras_on_torch()
    layers = [keras.layers.Dense(6, "relu"), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((4,)), *layers])

    def answers(given: Any) -> NDArray[Any]:
        return np.asarray(model(given, training=False).detach().numpy())

    return described(model, _keras_save, "tensor", NUMERIC, answers)


def _onnx() -> Case:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["points", "weights"], ["scores"])],
            "scores",
            [helper.make_tensor_value_info("points", TensorProto.FLOAT, [None, 4])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])],
            [numpy_helper.from_array(weights, "weights")],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())

    def answers(given: Any) -> NDArray[Any]:
        return np.asarray(session.run(None, {"points": given})[0])

    return described(model, mlflow.onnx.save_model, "tensor", NUMERIC, answers)


def _torch() -> Case:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))

    def answers(given: Any) -> NDArray[Any]:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(given)).numpy())

    return described(model.eval(), _torch_save, "tensor", NUMERIC, answers)


_MAKERS: dict[str, Callable[[], Case]] = {
    "scikit-learn": _scaled,
    "scikit-learn, no names": _forest,
    "scikit-learn by names": lambda: _by_names("ignore"),
    "scikit-learn by names, strict": lambda: _by_names("error"),
    "scikit-learn of objects": _objects,
    "scikit-learn of texts": _texts,
    "catboost": lambda: _catboost(NUMERIC, []),
    "catboost of categories": lambda: _catboost(
        ["city", "price", "kind", "quantity"], list(TEXTS)
    ),
    "xgboost booster": lambda: _xgboost(NUMERIC, booster=True),
    "xgboost booster of categories": lambda: _xgboost(MIXED, booster=True),
    "xgboost wrapper": lambda: _xgboost(NUMERIC, booster=False),
    "xgboost wrapper, no names": lambda: _xgboost(NUMERIC, booster=False, array=True),
    "xgboost wrapper of categories": lambda: _xgboost(MIXED, booster=False),
    "lightgbm booster": lambda: _lightgbm(booster=True),
    "lightgbm wrapper": lambda: _lightgbm(booster=False),
    "keras": _keras,
    "onnx": _onnx,
    "torch": _torch,
}
CASES = {name: cache(make) for name, make in _MAKERS.items()}
NO_EXAMPLE_NO_FILE = {"torch"}  # MLflow traces an example, and writes a pickle without one
