"""The walk through time and its figures, against plain calculations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from training.cripto import evaluate
from training.cripto.evaluate import Examples, Walk
from training.cripto.features import features
from training.cripto.models import learners, pipeline
from training.cripto.settings import Settings
from training.errors import InputError


@pytest.fixture(scope="module")
def given(coins: pd.DataFrame) -> Examples:
    return evaluate.examples(coins, 5)


def test_examples_are_days_with_a_next_day(coins: pd.DataFrame, given: Examples) -> None:
    assert len(given.X) == 6 * 149
    assert given.prices["date"].is_monotonic_increasing
    row = given.prices.index[100]
    np.testing.assert_array_equal(given.X[100], features(coins).loc[row])
    tomorrow = coins.loc[row + 1]
    assert tomorrow["symbol"] == coins.loc[row, "symbol"]
    assert given.returns[100] == tomorrow["close"] / coins.loc[row, "close"] - 1
    assert given.rises[100] == (tomorrow["close"] > coins.loc[row, "close"])


def test_folds_are_whole_days_and_the_tested_are_later(given: Examples) -> None:
    day = given.prices["date"].to_numpy()
    tested: list[int] = []
    for train, test in evaluate.splits(given, 5):
        assert day[train].max() < day[test].min()
        assert set(day[train]).isdisjoint(day[test])
        tested += test.tolist()
    assert len(tested) == len(set(tested)) == 6 * 5 * (149 // 6)


def test_each_fold_learns_from_its_past_alone(given: Examples) -> None:
    model = pipeline(LinearRegression())
    walked = evaluate.walk(model, given, 5, classify=False, label="lin")
    train, test = list(evaluate.splits(given, 5))[2]
    fitted = model.fit(given.X[train], given.returns[train])
    np.testing.assert_allclose(
        walked.predictions[np.isin(walked.rows, test)], fitted.predict(given.X[test])
    )


def test_regressions_are_measured_in_prices_beside_tomorrow_is_today() -> None:
    table = pd.DataFrame({"close": [100.0, 200.0, 400.0]})
    given = Examples(table, np.zeros((3, 1)), np.array([0.1, -0.5, 0.25]), np.zeros(3, bool))
    walked = Walk(np.array([0, 2]), np.array([0.2, 0.25]), np.zeros(2, bool))
    assert evaluate.regression_metrics(given, walked) == pytest.approx(
        {
            "mae": 5.0,
            "rmse": 50**0.5,
            "mape": (10 / 110) / 2,
            "naive.mae": 55.0,
            "naive.rmse": ((10**2 + 100**2) / 2) ** 0.5,
            "naive.mape": (10 / 110 + 100 / 500) / 2,
        }
    )


def test_classifications_are_measured_beside_the_majority() -> None:
    table = pd.DataFrame({"close": np.ones(4)})
    rises = np.array([True, False, True, True])
    given = Examples(table, np.zeros((4, 1)), np.zeros(4), rises)
    majority = np.array([True, True, False, False])
    walked = Walk(np.arange(4), np.array([0.9, 0.6, 0.55, 0.2]), majority)
    metrics = evaluate.classification_metrics(given, walked)
    assert metrics == pytest.approx(
        {"accuracy": 0.5, "auc": 1 / 3, "majority.accuracy": 0.25, "majority.auc": 0.5}
    )
    assert evaluate.verdicts(metrics) == {"accuracy": "better", "auc": "worse"}


def test_a_model_that_loses_is_said_to_lose() -> None:
    metrics = {"mae": 2.0, "mape": 0.1, "naive.mae": 1.0, "naive.mape": 0.2}
    assert evaluate.verdicts(metrics) == {"mae": "worse", "mape": "better"}
    assert evaluate.verdicts({"mae": 1.0, "naive.mae": 1.0}) == {"mae": "worse"}


def test_the_preparation_lies_inside(given: Examples, cripto_settings: Settings) -> None:
    """Medians and scales come from what is learned from; unknown symbols and gaps are answered."""
    for learner in learners(cripto_settings):
        y = given.rises if learner.kind == "classifier" else given.returns
        model = pipeline(learner.estimator).fit(given.X[:300], y[:300])
        numbers = model["prepare"].named_transformers_["numbers"]
        medians = np.nanmedian(given.X[:300, :-1], axis=0)
        np.testing.assert_allclose(numbers["simpleimputer"].statistics_, medians)
        odd = np.full((2, given.X.shape[1]), np.nan)
        odd[:, -1] = 1.0
        assert np.isfinite(model.predict(odd)).all()


def test_a_fold_that_saw_falls_alone_expects_no_rise(given: Examples) -> None:
    late = replace(given, rises=given.rises & (np.arange(len(given.rises)) > 400))
    walked = evaluate.walk(pipeline(LogisticRegression()), late, 5, classify=True, label="log")
    (_, first), *_, (_, last) = evaluate.splits(late, 5)
    assert not walked.predictions[np.isin(walked.rows, first)].any()
    assert walked.predictions[np.isin(walked.rows, last)].all()


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_too_little_is_refused(coins: pd.DataFrame, rows: int) -> None:
    with pytest.raises(InputError, match="too little for 20 folds"):
        evaluate.examples(coins.iloc[:rows], 20)


def test_two_symbols_with_one_code_are_refused(
    coins: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "code", lambda symbol: float(len(symbol)))
    with pytest.raises(InputError, match="ADA and BTC have the same code"):
        evaluate.examples(coins, 5)
