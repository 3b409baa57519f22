import operator
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.utils
import yaml
from catboost import CatBoostClassifier, CatBoostRegressor
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from skops import io as skops

from bentos.flavors.loading import TRUSTED_TYPES, load, preload
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Reason
from bentos.tensors import BadInput
from tests.serving.refusals import refused
from tests.serving.skops_file import tampered

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, 0] + 2 * X[:, 1]
KIND = (Y > 0).astype(int)

MODELS: list[Any] = [
    LinearRegression(),
    LogisticRegression(),
    make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
    make_pipeline(
        ColumnTransformer([("one", OneHotEncoder(handle_unknown="ignore"), [0])]), Ridge()
    ),
    TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler()),
    DecisionTreeRegressor(),
    RandomForestRegressor(3, random_state=0),
    ExtraTreesClassifier(3, random_state=0),
    GradientBoostingRegressor(n_estimators=3),
    IsolationForest(n_estimators=3, random_state=0),
    IsolationForest(n_estimators=3, max_features=2, random_state=0),
    KMeans(3, random_state=0),
]
FRESH = """
import sys
from pathlib import Path
from bentos.flavors.loading import load
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal

try:
    load(MLmodel(Path(sys.argv[1])))
except Refusal as refusal:
    print(refusal)
print("torch" in sys.modules)
"""


def stored(folder: Path, model: Any, predict_fn: str = "predict", **options: Any) -> MLmodel:
    """A version as MLflow lays it out, less what loading does not read."""
    skops.dump(model, folder / "model.skops")
    given = {"pickled_model": "model.skops", "serialization_format": "skops"} | options
    return described(folder, "sklearn", given, predict_fn)


def described(
    folder: Path, flavor: str, options: dict[str, Any], predict_fn: str = "predict"
) -> MLmodel:
    flavors = {flavor: options, "python_function": {"predict_fn": predict_fn}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return MLmodel(folder)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_models_that_can_be_served(model: Any, tmp_path: Path) -> None:
    model.fit(X, KIND if "Class" in type(model).__name__ or "Logis" in str(model) else Y)
    loaded = load(stored(tmp_path, model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert type(loaded.model) is type(model)


def test_probabilities_where_the_version_says_so(tmp_path: Path) -> None:
    model = RandomForestClassifier(3, random_state=0).fit(X, KIND)
    loaded = load(stored(tmp_path, model, predict_fn="predict_proba"))
    assert loaded.predict_fn == "predict_proba"
    np.testing.assert_array_equal(loaded.predict(X), model.predict_proba(X))


def test_probabilities_of_a_regressor(tmp_path: Path) -> None:
    version = stored(tmp_path, LinearRegression().fit(X, Y), predict_fn="predict_proba")
    refused("load", "predict_proba", lambda: load(version))


@pytest.mark.parametrize("name", sorted(TRUSTED_TYPES))
def test_what_is_trusted_exists(name: str) -> None:
    module, _, kind = name.rpartition(".")
    assert hasattr(import_module(module), kind)


def test_what_the_version_trusts_does_not_count(tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(operator.neg), LinearRegression()).fit(X, Y)
    version = stored(tmp_path, model, skops_trusted_types=["_operator.neg"])
    refused("pickle", r"_operator\.neg; what the file itself lists", lambda: load(version))


def test_in_a_service_skops_own_list_does_not_count_either(tmp_path: Path) -> None:
    """And loading does not import torch, which would cost a restarted service seconds."""
    network = MLPRegressor(
        hidden_layer_sizes=(2,), solver="lbfgs", max_iter=500, tol=0.1, random_state=0
    )
    stored(tmp_path, network.fit(X, Y))
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    refusal, torch = done.stdout.splitlines()
    assert refusal.startswith("pickle: the skops file names types that are not on our list")
    assert "MLPRegressor" in refusal
    assert torch == "False"


def test_skops_is_imported_without_a_trace(tmp_path: Path) -> None:
    before = sklearn.utils.all_estimators
    load(stored(tmp_path, LinearRegression().fit(X, Y)))
    preload("sklearn")
    assert sklearn.utils.all_estimators is before


@pytest.mark.parametrize("written", ["cloudpickle", "pickle", None])
def test_another_serialization(tmp_path: Path, written: str | None) -> None:
    version = stored(tmp_path, LinearRegression().fit(X, Y), serialization_format=written)
    refused("pickle", "serialization_format='skops'", lambda: load(version))


def test_a_file_elsewhere(tmp_path: Path) -> None:
    skops.dump(LinearRegression().fit(X, Y), tmp_path / "outside.skops")
    folder = tmp_path / "model"
    folder.mkdir()
    version = stored(folder, LinearRegression().fit(X, Y), pickled_model="../outside.skops")
    refused("flavor", "outside.skops", lambda: load(version))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no zip at all"])
def test_what_is_no_skops_file(tmp_path: Path, content: bytes) -> None:
    version = stored(tmp_path, LinearRegression().fit(X, Y))
    (tmp_path / "model.skops").write_bytes(content)
    refused("load", "BadZipFile while loading", lambda: load(version))


@pytest.mark.parametrize(
    ("field", "value", "at"),
    [
        ("left_child", 10**9, 0),
        ("right_child", 10**9, 0),
        ("left_child", -2, 0),
        ("left_child", 0, 0),  # a circle: it would never end
        ("right_child", 0, 1),
        ("right_child", -1, 0),  # half a leaf
        ("feature", 3, 0),
        ("feature", -5, 0),
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeRegressor(random_state=0),
        make_pipeline(StandardScaler(), RandomForestRegressor(2, random_state=0)),
        GradientBoostingRegressor(n_estimators=2, random_state=0),
        IsolationForest(n_estimators=2, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_trees_that_would_read_outside_their_memory(
    model: Any, field: str, value: int, at: int, tmp_path: Path
) -> None:
    version = stored(tmp_path, model.fit(X, Y))
    load(version)
    tampered(tmp_path / "model.skops", field, value, at)
    refused("load", "a tree in the skops file", lambda: load(version))


def wide(model: Any, **claims: Any) -> Any:
    """A model of 30 columns that claims to be of 3, to be given rows of 3."""
    W = np.random.default_rng(0).normal(size=(60, 30))
    model.fit(W, W[:, 29])
    for name, value in ({"n_features_in_": 3} | claims).items():
        setattr(model, name, value)
    for member in np.ravel(getattr(model, "estimators_", [])):
        member.n_features_in_ = 3
    return model


@pytest.mark.parametrize(
    "model",
    [
        wide(DecisionTreeRegressor()),
        wide(RandomForestRegressor(2)),
        wide(GradientBoostingRegressor(n_estimators=2)),
        wide(IsolationForest(n_estimators=2)),
        wide(
            IsolationForest(n_estimators=1),
            n_features_in_=30,
            estimators_features_=[np.arange(1)],
            _max_features=1,
        ),
        wide(KMeans(2)),
        wide(KMeans(2), n_features_in_=30, cluster_centers_=np.zeros((2, 1))),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_that_would_read_beyond_their_rows(model: Any, tmp_path: Path) -> None:
    version = stored(tmp_path, make_pipeline(StandardScaler().fit(X), model))
    refused("load", "columns", lambda: load(version))


@pytest.mark.parametrize(
    ("model", "predict_fn"),
    [
        (CatBoostRegressor(iterations=5, silent=True, allow_writing_files=False), "predict"),
        (CatBoostClassifier(iterations=5, silent=True, allow_writing_files=False), "predict"),
        (
            CatBoostClassifier(iterations=5, silent=True, allow_writing_files=False),
            "predict_proba",
        ),
    ],
)
def test_catboost(model: Any, predict_fn: str, tmp_path: Path) -> None:
    kind = type(model).__name__
    model.fit(X, KIND if kind == "CatBoostClassifier" else Y)
    model.save_model(str(tmp_path / "model.cb"))
    options = {"data": "model.cb", "model_type": kind, "save_format": "cbm"}
    loaded = load(described(tmp_path, "catboost", options, predict_fn))
    np.testing.assert_allclose(loaded.predict(X), getattr(model, predict_fn)(X))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model_type": "CatBoost", "save_format": "cbm"}, "flavor"),
        ({"model_type": "__init__", "save_format": "cbm"}, "flavor"),
        ({"model_type": "CatBoostRegressor", "save_format": "python"}, "flavor"),
        ({"model_type": "CatBoostRegressor", "data": "../elsewhere.cb"}, "flavor"),
        ({"model_type": "CatBoostRegressor", "data": "model.cb"}, "load"),
    ],
)
def test_other_catboost_files(options: dict[str, Any], reason: Reason, tmp_path: Path) -> None:
    (tmp_path / "model.cb").write_bytes(b"no model")
    refused(
        reason,
        "catboost|elsewhere|while loading",
        lambda: load(described(tmp_path, "catboost", options)),
    )


def test_preload() -> None:
    preload("catboost")
    preload("sklearn")


def test_a_category_that_an_encoder_does_not_know_is_the_callers(tmp_path: Path) -> None:
    table = np.array([["rock", 1.0], ["pop", 2.0]], dtype=object)
    encoder = ColumnTransformer([("one", OneHotEncoder(), [0])], remainder="passthrough")
    predict = load(stored(tmp_path, make_pipeline(encoder, Ridge()).fit(table, [1, 2]))).predict
    with pytest.raises(BadInput, match=r"Found unknown categories \['jazz'\] in column 0"):
        predict(np.array([["jazz", 1.0]], dtype=object))
    with pytest.raises(ValueError, match="1 features") as caught:
        predict(np.array([["rock"]], dtype=object))
    assert not isinstance(caught.value, BadInput)
