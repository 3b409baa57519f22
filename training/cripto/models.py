"""The five models: one preparation, five ways to learn."""

from dataclasses import dataclass
from typing import Any, Literal

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from training.cripto.names import NUMERIC
from training.cripto.settings import Settings

Kind = Literal["regressor", "classifier"]


@dataclass(frozen=True)
class Learner:
    """An estimator for one of the five; `kind` says which target it learns."""

    name: str
    kind: Kind
    estimator: BaseEstimator

    @property
    def model(self) -> str:
        """The registered model's name."""
        return f"cripto-{self.name}"


def learners(settings: Settings) -> list[Learner]:
    """All five, unfitted. Regressors learn the next day's return, classifiers whether it rises."""
    logistic = LogisticRegression(
        C=settings.logistic_c, max_iter=1000, random_state=settings.random_state
    )
    return [
        Learner("regressor-rf", "regressor", RandomForestRegressor(**_forest(settings))),
        Learner("regressor-gbr", "regressor", _boosted(settings)),
        Learner("regressor-lin", "regressor", LinearRegression()),
        Learner("classifier-rf", "classifier", RandomForestClassifier(**_forest(settings))),
        Learner("classifier-log", "classifier", logistic),
    ]


def _forest(settings: Settings) -> dict[str, Any]:
    return {
        "n_estimators": settings.forest_trees,
        "max_depth": settings.forest_depth,
        "min_samples_leaf": settings.forest_leaf,
        "max_features": settings.tree_features,
        "random_state": settings.random_state,
    }


def _boosted(settings: Settings) -> GradientBoostingRegressor:
    return GradientBoostingRegressor(
        n_estimators=settings.boosting_trees,
        max_depth=settings.boosting_depth,
        learning_rate=settings.boosting_rate,
        subsample=settings.boosting_subsample,
        max_features=settings.tree_features,
        random_state=settings.random_state,
    )


def pipeline(estimator: BaseEstimator) -> Pipeline:
    """Median imputation and scaling, one-hot of the symbol (all zeros if unknown), the estimator.

    Its input is FEATURES, in that order: float64 (n, features), NaN where missing.
    """
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    symbol = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = [
        ("numbers", numbers, list(range(len(NUMERIC)))),
        ("symbol", symbol, [len(NUMERIC)]),
    ]
    return Pipeline([("prepare", ColumnTransformer(columns)), ("learn", estimator)])
