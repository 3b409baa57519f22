"""XGBoost, LightGBM and CatBoost within pickles answer as they did, or are refused."""

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bentos.flavors.reading import Damaged, Unreadable, read_pickle

random = np.random.default_rng(0)
X = random.random((120, 3))
Y = (X[:, 0] * 3).astype(int)
TABLE = pd.DataFrame(X, columns=["a", "b", "c"]).assign(
    kind=pd.Categorical(random.choice(["x", "y", "z", "w"], 120))
)
Make = Callable[[], Any]
MODELS: dict[str, Make] = {
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(X, Y),
    "xgboost: numbers": lambda: xgboost.XGBRegressor(n_estimators=4, n_jobs=1).fit(X, Y),
    "xgboost: dart": lambda: xgboost.XGBRegressor(
        n_estimators=4, n_jobs=1, booster="dart", rate_drop=0.5
    ).fit(X, Y),
    "xgboost: linear": lambda: xgboost.XGBRegressor(
        n_estimators=4, n_jobs=1, booster="gblinear"
    ).fit(X, Y),
    "xgboost: forest": lambda: xgboost.XGBRFClassifier(n_estimators=4, n_jobs=1).fit(X, Y),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(X, Y),
    "lightgbm: numbers": lambda: lightgbm.LGBMRegressor(n_estimators=4, n_jobs=1, verbose=-1).fit(
        X, Y
    ),
    "catboost": lambda: catboost.CatBoostClassifier(
        iterations=4, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, Y),
    "catboost: numbers": lambda: catboost.CatBoostRegressor(
        iterations=4, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, Y),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_booster_within_a_pipeline_answers_the_same(name: str, protocol: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(StandardScaler(), MODELS[name]()).fit(X, Y)
        read: Any = read_pickle(pickle.dumps(model, protocol=protocol)).model
        np.testing.assert_array_equal(model.predict(X), read.predict(X))
        if hasattr(model, "predict_proba"):
            np.testing.assert_array_equal(model.predict_proba(X), read.predict_proba(X))


def test_categories_of_a_table_are_kept() -> None:
    for model in (
        xgboost.XGBClassifier(
            n_estimators=4, n_jobs=1, enable_categorical=True, max_cat_to_onehot=1
        ),
        lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1, min_data_per_group=1),
    ):
        model.fit(TABLE, Y)
        read: Any = read_pickle(pickle.dumps(model)).model
        np.testing.assert_array_equal(model.predict_proba(TABLE), read.predict_proba(TABLE))


def changed(data: bytes, name: bytes, at: int, value: bytes) -> bytes:
    """A pickled booster with other bytes in the first list of this name."""
    start = data.index(name + b"[$", data.index(b"Model")) + len(name) + 3 + 1 + 1 + 8
    place = start + at * len(value)
    return data[:place] + value + data[place + len(value) :]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"left_children", (0).to_bytes(4, "big")),
        (b"left_children", (10**6).to_bytes(4, "big")),
        (b"right_children", (10**6).to_bytes(4, "big")),
        (b"right_children", b"\xff\xff\xff\xff"),
        (b"split_indices", (99).to_bytes(4, "big")),
        (b"split_indices", b"\xff\xff\xff\xf0"),
        (b"split_type", b"\x01"),
        (b"parents", (7).to_bytes(4, "big")),
    ],
)
def test_trees_of_xgboost_that_lead_elsewhere_are_refused(name: bytes, value: bytes) -> None:
    data = pickle.dumps(MODELS["xgboost: numbers"]())
    at = 1 if name == b"parents" else 0
    with pytest.raises(Damaged):
        read_pickle(changed(data, name, at, value))


def test_trees_of_lightgbm_that_lead_elsewhere_are_refused() -> None:
    data = pickle.dumps(MODELS["lightgbm: numbers"]())
    for name in (b"left_child=", b"split_feature="):
        start = data.index(name) + len(name)
        with pytest.raises(Unreadable):
            read_pickle(data[:start] + b"9" * 1 + data[start + 1 :])


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_class=", "7"), ("num_tree_per_iteration=", "1"), ("tree_sizes=", "x"), ("=", "d")],
)
def test_texts_of_lightgbm_that_say_otherwise_do_no_harm(name: str, value: str) -> None:
    model = MODELS["lightgbm"]()
    data = pickle.dumps(model)
    start = data.index(name.encode(), data.index(b"leaf_value") if name == "=" else 0) + len(name)
    data = data[:start] + value.encode() + data[start + 1 :]
    if name == "tree_sizes=":
        read: Any = read_pickle(data).model
        np.testing.assert_array_equal(read.predict_proba(X), model.predict_proba(X))
    else:
        with pytest.raises(Unreadable):
            read_pickle(data)


def test_bytes_that_are_no_catboost_are_refused() -> None:
    data = pickle.dumps(MODELS["catboost"]())
    with pytest.raises(Unreadable):
        read_pickle(data.replace(b"CBM1", b"XXXX"))
