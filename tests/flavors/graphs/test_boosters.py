"""XGBoost's and LightGBM's models answer as graphs as they answer themselves."""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from bentos.flavors.graphs import NoGraph, Session, compile_model
from bentos.tensors import Column, Schema
from tests.flavors.graphs.tables import (
    TEXTS,
    batch,
    framed,
    lacking,
    levels,
    proved,
    purchases,
    target,
)

GAPS = ("price", "quantity", "city", "kind")
NAMES = ("price", "quantity", "when", "account", "month")
NUMBERS = Schema(inputs=tuple(Column(n, "float64", nullable=n in GAPS) for n in NAMES))
WORDS = Schema(inputs=(*NUMBERS.inputs, *(Column(n, "string", nullable=True) for n in TEXTS)))
TABLE = lacking(purchases())[[*NAMES, *TEXTS]].astype(dict.fromkeys(NAMES, float))
CATEGORIES = TABLE.astype(dict.fromkeys(TEXTS, "category"))
VALUES = target(purchases())
LEVELS = np.searchsorted(np.unique(levels(VALUES)), levels(VALUES).astype(object))
HIGH = np.greater(VALUES, np.median(VALUES))
QUIET: dict[str, Any] = {"n_estimators": 15, "verbose": -1}
SETS: dict[str, Any] = {"min_data_per_group": 1, "cat_smooth": 0, "max_cat_to_onehot": 1}


def trees(objective: str, **options: Any) -> xgboost.XGBRegressor:
    return xgboost.XGBRegressor(n_estimators=15, objective=objective, **options)


def leaves(objective: str = "regression", **options: Any) -> lightgbm.LGBMRegressor:
    return lightgbm.LGBMRegressor(objective=objective, **QUIET, **options)


REGRESSORS: dict[str, Any] = {
    "xgboost": trees("reg:squarederror"),
    "xgboost, missing are -1": trees("reg:squarederror", missing=-1),
    "xgboost, counts": trees("count:poisson"),
    "xgboost, quantiles": trees("reg:quantileerror", quantile_alpha=[0.1, 0.5]),
    "xgboost, logistic": trees("reg:logistic"),
    "lightgbm": leaves(),
    "lightgbm, zero is missing": leaves(zero_as_missing=True),
    "lightgbm, nothing is missing": leaves(use_missing=False),
    "lightgbm, counts": leaves("poisson"),
    "lightgbm, forest": leaves(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_numbers(name: str) -> None:
    model = REGRESSORS[name].fit(TABLE[list(NAMES)], np.abs(VALUES) / np.abs(VALUES).max())
    native = framed(model.predict, NUMBERS)
    proof = proved(model, "predict", NUMBERS, batch(TABLE, NUMBERS), native)
    assert proof.holds, proof
    assert not proof.refused


@pytest.mark.parametrize("classes", [LEVELS, HIGH.astype(int)], ids=["three", "two"])
@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, lightgbm.LGBMClassifier])
def test_classes_and_probabilities(kind: Any, classes: Any) -> None:
    quiet = QUIET if kind is lightgbm.LGBMClassifier else {"n_estimators": 15}
    model = kind(**quiet).fit(TABLE[list(NAMES)], classes)
    for method in ("predict", "predict_proba"):
        native = framed(getattr(model, method), NUMBERS)
        proof = proved(model, method, NUMBERS, batch(TABLE, NUMBERS), native)
        assert proof.holds, proof


def categories(rows: pd.DataFrame) -> pd.DataFrame:
    """The table as the boosters want it."""
    for name in TEXTS:
        known = CATEGORIES[name].cat.categories
        rows[name] = pd.Categorical(rows[name].astype(object), categories=known)
    return rows


def known(rows: pd.DataFrame) -> pd.DataFrame:
    """XGBoost refuses an unknown category, and a table of fixed categories hides it."""
    for name in TEXTS:
        strange = ~rows[name].dropna().isin(CATEGORIES[name].cat.categories)
        if strange.any():
            raise ValueError("Found a category not in the training set")
    return categories(rows)


@pytest.mark.parametrize("most", [1, 4], ids=["sets", "one against all"])
def test_categories_of_xgboost(most: int) -> None:
    model = xgboost.XGBClassifier(
        n_estimators=15, enable_categorical=True, max_cat_to_onehot=most
    ).fit(CATEGORIES, LEVELS)
    native = framed(lambda rows: model.predict_proba(known(rows)), WORDS)
    proof = proved(model, "predict_proba", WORDS, batch(TABLE, WORDS), native)
    assert proof.holds, proof
    assert proof.refused


def test_categories_of_lightgbm() -> None:
    model = lightgbm.LGBMClassifier(**QUIET, **SETS).fit(CATEGORIES, LEVELS)
    native = framed(lambda rows: model.predict_proba(categories(rows)), WORDS)
    proof = proved(model, "predict_proba", WORDS, batch(TABLE, WORDS), native)
    assert proof.holds, proof
    assert not proof.refused


def test_boosters_themselves() -> None:
    one = REGRESSORS["xgboost"].fit(TABLE[list(NAMES)], VALUES).get_booster()
    two = REGRESSORS["lightgbm"].fit(TABLE[list(NAMES)], VALUES).booster_
    for model, native in (
        (one, framed(lambda rows: one.predict(xgboost.DMatrix(rows)), NUMBERS)),
        (two, framed(two.predict, NUMBERS)),
    ):
        proof = proved(model, "predict", NUMBERS, batch(TABLE, NUMBERS), native)
        assert proof.holds, proof
        assert proof.worst_relative == 0


def test_trees_after_the_best_iteration_do_not_count() -> None:
    rows = TABLE[list(NAMES)]
    random = np.random.default_rng(0).normal(size=len(rows))
    model = xgboost.XGBRegressor(n_estimators=30, early_stopping_rounds=3)
    model.fit(rows, VALUES, eval_set=[(rows, random)], verbose=False)
    assert model.best_iteration < len(model.get_booster().get_dump()) - 1
    native = framed(model.predict, NUMBERS)
    assert proved(model, "predict", NUMBERS, batch(TABLE, NUMBERS), native).holds


def test_categories_by_number() -> None:
    months = pd.DataFrame({"month": pd.Categorical(TABLE["month"].astype(int))})
    schema = Schema(inputs=(Column("month", "int64"),))
    options = QUIET | SETS | {"n_estimators": 40}
    for model in (
        xgboost.XGBRegressor(enable_categorical=True).fit(months, VALUES),
        lightgbm.LGBMRegressor(**options).fit(months, VALUES),
    ):
        session = Session(compile_model(model, schema).proto.SerializeToString())
        answers = session(batch(TABLE.astype({"month": int}), schema))["prediction"]
        assert answers.tolist() == np.asarray(model.predict(months)).tolist()


def test_other_boosters_say_why_not() -> None:
    for booster in ("dart", "gblinear"):
        model = xgboost.XGBRegressor(booster=booster, n_estimators=3)
        model.fit(TABLE[list(NAMES)].fillna(0), VALUES)
        with pytest.raises(NoGraph, match=f"XGBoost's {booster} has no exact form"):
            compile_model(model, NUMBERS)
