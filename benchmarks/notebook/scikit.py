"""Models of scikit-learn."""

from typing import Any

import mlflow.sklearn
import numpy as np
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from benchmarks.notebook.kind import Kind, Rows, of_array, of_table
from benchmarks.notebook.rows import (
    BOUGHT,
    HOMES,
    LEVEL,
    NUMBERS,
    PRICE,
    TRAINING,
    WORDS,
    fresh,
    texts,
)

OBJECTS = ["city", "heating", "age"]
SEEN = texts(TRAINING, 1)


def _linear(given: Rows) -> Any:
    return LinearRegression().fit(given, PRICE)


def _forest(given: Rows) -> Any:
    return RandomForestClassifier(30, random_state=0).fit(given, LEVEL)


def _boosting(given: Rows) -> Any:
    return GradientBoostingRegressor(n_estimators=30, random_state=0).fit(given, PRICE)


def _vectors(given: Rows) -> Any:
    return make_pipeline(StandardScaler(), SVC()).fit(given, LEVEL)


def _columns(given: Rows) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    apart = make_column_transformer((numbers, NUMBERS), (words, WORDS))
    return make_pipeline(apart, LogisticRegression(max_iter=500)).fit(given, BOUGHT)


def _histograms(given: Rows) -> Any:
    lacking = given.mask(np.random.default_rng(6).random(given.shape) < 0.1)
    return HistGradientBoostingRegressor(max_iter=30, random_state=0).fit(lacking, PRICE)


def _search(given: Rows) -> Any:
    found = GridSearchCV(RandomForestClassifier(10, random_state=0), {"max_depth": [3, 5]}, cv=2)
    return found.fit(given, BOUGHT)


def _objects(given: Rows) -> Any:
    return make_pipeline(DictVectorizer(), LinearRegression()).fit(given, PRICE)


def _sentences(given: Rows) -> Any:
    liked = np.array(["good" if "sunny" in text else "bad" for text in given])
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(given, liked)


def _ask_shares(model: Any, given: Rows) -> Any:
    return model.predict_proba(given)


def _strange(count: int) -> Rows:
    return fresh(OBJECTS, unknown=["city"], count=count).to_dict("records")


def _new_sentences(count: int) -> Rows:
    return texts(count, 2, ["Atlantis"])


def kinds() -> list[Kind]:
    """All of them."""
    flavor = mlflow.sklearn
    shares: Any = {"ask": _ask_shares, "options": {"pyfunc_predict_fn": "predict_proba"}}
    return [
        of_table("LinearRegression", flavor, _linear, NUMBERS),
        of_table("RandomForestClassifier", flavor, _forest, NUMBERS),
        of_table("RandomForestClassifier, predict_proba", flavor, _forest, NUMBERS, **shares),
        of_array("GradientBoostingRegressor of an array", flavor, _boosting, np.float64),
        of_array("SVC of an array", flavor, _vectors, np.float64),
        of_table("ColumnTransformer", flavor, _columns, NUMBERS + WORDS, NUMBERS, WORDS),
        of_table("HistGradientBoostingRegressor", flavor, _histograms, NUMBERS, NUMBERS),
        of_table("GridSearchCV", flavor, _search, NUMBERS),
        Kind("DictVectorizer", flavor, _objects, HOMES[OBJECTS].to_dict("records"), _strange),
        Kind("TfidfVectorizer", flavor, _sentences, SEEN, _new_sentences),
    ]
