"""Models of CatBoost, XGBoost and LightGBM."""

from typing import Any

import lightgbm
import mlflow.catboost
import mlflow.lightgbm
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import xgboost
from catboost import CatBoostClassifier, CatBoostRegressor
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.notebook.kind import Kind, Rows, categorical, of_array, of_table
from benchmarks.notebook.rows import BOUGHT, LEVEL, NUMBERS, PRICE, WORDS

MIXED = NUMBERS + WORDS
ASCII = [*NUMBERS, "heating"]
CATBOOST: Any = {"iterations": 30, "verbose": False, "allow_writing_files": False}


def _cat_numbers(given: Rows) -> Any:
    return CatBoostRegressor(**CATBOOST).fit(given, PRICE)


def _cat_words(given: Rows) -> Any:
    return CatBoostClassifier(**CATBOOST).fit(given, LEVEL, cat_features=WORDS)


def _matrix(given: Rows, target: Any = None) -> Any:
    return xgboost.DMatrix(given, target, enable_categorical=True)


def _xgb_booster(given: Rows) -> Any:
    return xgboost.train({"max_depth": 4}, _matrix(categorical(given), PRICE), 20)


def _xgb_classifier(given: Rows) -> Any:
    return xgboost.XGBClassifier(n_estimators=20, max_depth=4).fit(given, BOUGHT)


def _xgb_regressor(given: Rows) -> Any:
    model = xgboost.XGBRegressor(n_estimators=20, enable_categorical=True, tree_method="hist")
    return model.fit(categorical(given), PRICE)


def _xgb_pipeline(given: Rows) -> Any:
    words = OneHotEncoder(handle_unknown="ignore")
    apart = make_column_transformer((words, WORDS), remainder="passthrough")
    return make_pipeline(apart, xgboost.XGBRegressor(n_estimators=20)).fit(given, PRICE)


def _ask_booster(model: Any, given: Rows) -> Any:
    return model.predict(_matrix(given))


def _light_booster(given: Rows) -> Any:
    data = lightgbm.Dataset(categorical(given), PRICE)
    return lightgbm.train({"verbose": -1}, data, 20)


def _light_classifier(given: Rows) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(given, LEVEL)


def _light_regressor(given: Rows) -> Any:
    return lightgbm.LGBMRegressor(n_estimators=20, verbose=-1).fit(categorical(given), PRICE)


def kinds() -> list[Kind]:
    """All of them."""
    cat, xgb, light = mlflow.catboost, mlflow.xgboost, mlflow.lightgbm
    asked: Any = {"ask": _ask_booster}
    known: Any = {"ready": categorical}
    return [
        of_table("CatBoostRegressor", cat, _cat_numbers, NUMBERS, NUMBERS),
        of_table("CatBoostClassifier of categories", cat, _cat_words, MIXED, NUMBERS, WORDS),
        of_table("XGBoost Booster", xgb, _xgb_booster, NUMBERS, NUMBERS, **asked),
        of_table(
            "XGBoost Booster of categories", xgb, _xgb_booster, ASCII, ASCII, **asked, **known
        ),
        of_table("XGBClassifier", xgb, _xgb_classifier, NUMBERS, NUMBERS),
        of_array("XGBClassifier of an array", xgb, _xgb_classifier, np.float64),
        of_table("XGBRegressor of categories", xgb, _xgb_regressor, ASCII, ASCII, **known),
        of_table(
            "XGBRegressor of categories with accents", xgb, _xgb_regressor, MIXED, MIXED, **known
        ),
        of_table(
            "XGBRegressor in a pipeline", mlflow.sklearn, _xgb_pipeline, MIXED, NUMBERS, WORDS
        ),
        of_table("LightGBM Booster", light, _light_booster, NUMBERS, NUMBERS),
        of_table(
            "LightGBM Booster of categories", light, _light_booster, MIXED, MIXED, WORDS, **known
        ),
        of_table("LGBMClassifier", light, _light_classifier, NUMBERS, NUMBERS),
        of_table(
            "LGBMRegressor of categories", light, _light_regressor, MIXED, MIXED, WORDS, **known
        ),
    ]
