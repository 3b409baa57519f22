"""Walking forward through time: what each model would have said of days that it had not seen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import Pipeline

from training.cripto.features import Floats, code, features, next_returns
from training.errors import InputError
from training.progress import track

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Examples:
    """Days whose next day is known, in order of time.

    `prices` are their rows; `X` float64 (n, features); `returns` and `rises` (n,) the targets.
    """

    prices: pd.DataFrame
    X: Floats
    returns: Floats
    rises: NDArray[np.bool_]


@dataclass(frozen=True)
class Walk:
    """Predictions for the tested days, one after the other; `rows` (n,) indexes the examples.

    `predictions` (n,) are returns, or probabilities of a rise; `majority` (n,) is what most days
    of the training before did.
    """

    rows: Ints
    predictions: Floats
    majority: NDArray[np.bool_]


def examples(prices: pd.DataFrame, folds: int) -> Examples:
    """What can be learned from clean prices.

    Raises `InputError` when there are too few days, only rises or falls, or two symbols that
    would be taken for one.
    """
    seen: dict[float, str] = {}
    for symbol in prices["symbol"].unique():
        if (other := seen.setdefault(code(symbol), symbol)) != symbol:
            raise InputError(
                f"{other} and {symbol} have the same code: train without one of them."
            )
    returns = next_returns(prices)
    X = features(prices).to_numpy()
    order = np.argsort(prices["date"].to_numpy(), kind="stable")
    known = order[np.isfinite(returns[order])]
    rises = returns[known] > 0
    days = prices["date"].iloc[known].nunique()
    if days < 2 * (folds + 1) or rises.all() or not rises.any():
        raise InputError(
            f"{len(known)} rows of {days} days have a next day to learn from, {int(rises.sum())} "
            f"of them rises: that is too little for {folds} folds."
        )
    return Examples(prices.iloc[known], X[known], returns[known], rises)


def splits(given: Examples, folds: int) -> Iterator[tuple[Ints, Ints]]:
    """Rows to train on and rows to test on: whole days, the tested always later."""
    day = given.prices["date"].rank(method="dense").to_numpy(dtype=np.intp) - 1
    for train, test in TimeSeriesSplit(folds).split(np.unique(day)):
        yield (
            np.flatnonzero(day <= train[-1]),
            np.flatnonzero((test[0] <= day) & (day <= test[-1])),
        )


def walk(model: Pipeline, given: Examples, folds: int, classify: bool, label: str) -> Walk:
    """Train on each fold's past, predict its days."""
    y = given.rises if classify else given.returns
    rows, predictions, majority = [], [], []
    for train, test in track(splits(given, folds), folds, label):
        rows.append(test)
        if classify and len(np.unique(y[train])) == 1:  # nothing to tell apart yet
            predictions.append(np.full(len(test), float(y[train][0])))
        else:
            fitted = clone(model).fit(given.X[train], y[train])
            predictions.append(outcome(fitted, given.X[test], classify))
        majority.append(np.full(len(test), given.rises[train].mean() > 0.5))
    return Walk(np.concatenate(rows), np.concatenate(predictions), np.concatenate(majority))


def outcome(model: Pipeline, X: Floats, classify: bool) -> Floats:
    """Returns, or probabilities of a rise: (n,)."""
    predicted: Floats = model.predict_proba(X)[:, 1] if classify else model.predict(X)
    return predicted


def regression_metrics(given: Examples, walked: Walk) -> dict[str, float]:
    """MAE, RMSE (in prices) and MAPE of the next close, beside those of "tomorrow is today"."""
    today = given.prices["close"].to_numpy()[walked.rows]
    actual = today * (1 + given.returns[walked.rows])
    predicted = today * (1 + walked.predictions)
    return _distances("", actual, predicted) | _distances("naive.", actual, today)


def _distances(prefix: str, actual: Floats, predicted: Floats) -> dict[str, float]:
    off = np.abs(predicted - actual)
    return {
        f"{prefix}mae": float(off.mean()),
        f"{prefix}rmse": float(np.sqrt((off**2).mean())),
        f"{prefix}mape": float((off / actual).mean()),
    }


def classification_metrics(given: Examples, walked: Walk) -> dict[str, float]:
    """Accuracy and AUC, beside those of always saying what most days before did."""
    actual = given.rises[walked.rows]
    both = actual.any() and not actual.all()
    return {
        "accuracy": float(((walked.predictions > 0.5) == actual).mean()),
        "auc": float(roc_auc_score(actual, walked.predictions)) if both else 0.5,
        "majority.accuracy": float((walked.majority == actual).mean()),
        "majority.auc": 0.5,
    }


def verdicts(metrics: dict[str, float]) -> dict[str, str]:
    """For each metric, whether it is `better` than its baseline's or `worse`."""
    baselines = {name.partition(".")[2]: v for name, v in metrics.items() if "." in name}
    more_is_better = {"accuracy", "auc"}
    return {
        name: "better"
        if (metrics[name] > baseline if name in more_is_better else metrics[name] < baseline)
        else "worse"
        for name, baseline in baselines.items()
    }
