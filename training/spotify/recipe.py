"""The recipe: split, boost with early stopping, measure beside the naive median predictor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
from catboost import CatBoostRegressor
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

from training.progress import steps
from training.spotify.features import NAMES, popularity
from training.spotify.settings import Settings
from training.spotify.songs import Floats, Songs


@dataclass(frozen=True)
class Scores:
    """How far estimates are off, in points of popularity; `r2` has no unit."""

    rmse: float
    mae: float
    r2: float


@dataclass(frozen=True)
class Result:
    """A trained model and its figures; the curves are the RMSE after each tree."""

    model: CatBoostRegressor
    scores: Scores
    baseline: Scores
    test: pd.DataFrame
    learning: Sequence[float]
    validation: Sequence[float]
    importances: dict[str, float]


def train(songs: Songs, settings: Settings) -> Result:
    """Follow the recipe; what is measured is what the service answers, on the 0 to 100 scale."""
    seed = settings.random_state
    rows, test, liked, actual = train_test_split(
        songs.rows, songs.popularity, test_size=settings.test_part, random_state=seed
    )
    learning, validation, y, y_validation = train_test_split(
        rows, liked, test_size=settings.validation_part, random_state=seed
    )
    model = boost(settings, (learning, y), (validation, y_validation))
    curves = model.get_evals_result()
    return Result(
        model,
        scores=measure(actual, popularity(model.predict(test))),
        baseline=measure(actual, np.full(len(actual), np.median(liked))),
        test=test,
        learning=curves["learn"]["RMSE"],
        validation=curves["validation"]["RMSE"],
        importances=dict(zip(rows.columns, model.get_feature_importance(), strict=True)),
    )


def boost(
    settings: Settings,
    learning: tuple[pd.DataFrame, Floats],
    validation: tuple[pd.DataFrame, Floats],
) -> CatBoostRegressor:
    """Fit until the validation part stops getting better; keep the trees of its best moment."""
    model = CatBoostRegressor(
        iterations=settings.iterations,
        learning_rate=settings.learning_rate,
        depth=settings.depth,
        l2_leaf_reg=settings.l2_leaf_reg,
        border_count=settings.border_count,
        random_seed=settings.random_state,
        early_stopping_rounds=settings.early_stopping_rounds,
        cat_features=list(NAMES),
        allow_writing_files=False,
    )
    with steps(settings.iterations, "boosting") as step:
        model.fit(*learning, eval_set=validation, verbose=False, callbacks=[after_tree(step)])
    return model


def after_tree(step: Callable[[], object]) -> SimpleNamespace:
    """A CatBoost callback; it goes on until `watch` says False."""
    return SimpleNamespace(after_iteration=lambda info: (step(), True)[1])


def measure(actual: Floats, estimated: Floats) -> Scores:
    """Score estimates of popularity."""
    return Scores(
        float(root_mean_squared_error(actual, estimated)),
        float(mean_absolute_error(actual, estimated)),
        float(r2_score(actual, estimated)),
    )
