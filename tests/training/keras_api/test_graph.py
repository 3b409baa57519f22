from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, kstest
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from tests.keras_files import dense, keras
from training.errors import InputError
from training.keras_api.graph import answer, served_model, width
from training.keras_api.scaling import Floats

RNG = np.random.default_rng(5)
X = RNG.normal([10.0, -500.0, 0.2], [3.0, 80.0, 0.05], (2000, 3))
Y = RNG.normal([1000.0, -3.0], [200.0, 0.5], (2000, 2))
SCALERS = [StandardScaler, MinMaxScaler, RobustScaler, None]


def confidence(rows: Floats, scaler: Any = None) -> Floats:
    return answer(served_model(dense(rows.shape[1]), scaler, None), rows)[:, -1]


@pytest.mark.parametrize("for_y", SCALERS, ids=str)
@pytest.mark.parametrize("for_x", SCALERS, ids=str)
def test_predicts_as_the_model_between_its_scalers(for_x: Any, for_y: Any) -> None:
    model = dense(3, outputs=2)
    scaler_X, scaler_y = for_x and for_x().fit(X), for_y and for_y().fit(Y)
    scaled = scaler_X.transform(X) if scaler_X else X
    expected = model.predict(scaled, verbose=0).astype(np.float64)
    if scaler_y:
        expected = scaler_y.inverse_transform(expected)
    answers = answer(served_model(model, scaler_X, scaler_y), X)
    assert answers.dtype == np.float64
    assert answers.shape == (len(X), 3)
    np.testing.assert_allclose(answers[:, :-1], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("columns", [1, 3, 10, 200])
def test_confidence_is_the_share_of_training_rows_farther_out(columns: int) -> None:
    rows = np.random.default_rng(1).normal(7.0, 3.0, (4000, columns))
    found = confidence(rows, StandardScaler().fit(rows))
    assert found.mean() == pytest.approx(0.5, abs=0.02)
    assert kstest(found, "uniform").statistic < (0.06 if columns == 1 else 0.04)
    exact = chi2.sf(np.square((rows - rows.mean(0)) / rows.std(0)).sum(1), columns)
    np.testing.assert_allclose(found, exact, atol=0.06 if columns == 1 else 0.01)


@pytest.mark.parametrize("scaler", [MinMaxScaler(), None], ids=str)
def test_confidence_without_a_known_deviation(scaler: Any) -> None:
    rows = RNG.uniform(-np.sqrt(3), np.sqrt(3), (4000, 10))
    found = confidence(rows, scaler and scaler.fit(rows))
    assert found.mean() == pytest.approx(0.5, abs=0.06)


def test_confidence_falls_far_out() -> None:
    scaler = StandardScaler().fit(X)
    steps = scaler.mean_ + np.arange(12)[:, None] * scaler.scale_
    found = confidence(steps, scaler)
    assert (np.diff(found) < 0).all()
    assert found[0] > 0.99
    assert found[3] < 0.001
    drifted = confidence(X + scaler.scale_, scaler)
    assert drifted.mean() < 0.3


def test_confidence_at_any_distance() -> None:
    huge = np.array([[0.0], [1e-300], [1e10], [1e38], [1e200], [-1e308]]) * np.ones(3)
    found = confidence(huge, StandardScaler().fit(X))
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1)).all()
    assert found[-1] == 0


def test_the_model_itself_stays_as_it_is() -> None:
    model = dense()
    before = model.get_weights()
    served_model(model, StandardScaler().fit(X), None)
    assert model.name != "model"
    assert model.compiled
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_inside_a_model_leaves_its_optimizer_behind() -> None:
    rows = keras.Input((3,), name="rows")
    model = keras.Model(rows, dense()(rows), name="scaled")
    served = served_model(model, None, None)
    assert "optimizer" not in str(served.get_config())
    np.testing.assert_allclose(
        answer(served, X)[:, :1], model.predict(X, verbose=0), rtol=1e-6, atol=1e-7
    )


def test_a_sequential_built_by_its_first_fit() -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(InputError, match="has no weights yet"):
        width(model, "input")
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], epochs=1, verbose=0)
    assert answer(served_model(model, StandardScaler().fit(X), None), X[:2]).shape == (2, 2)


class Mine(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self(np.ones((1, 3)))

    def call(self, rows: Any) -> Any:
        return self.dense(rows)


def images() -> keras.Model:
    return keras.Sequential([keras.Input((4, 4)), keras.layers.Flatten(), keras.layers.Dense(1)])


def two_outputs() -> keras.Model:
    rows = keras.Input((3,))
    return keras.Model(rows, [rows, rows])


def with_lambda() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda rows: rows * 2)])


def of_ones_own() -> keras.Model:
    class Tripled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            return rows * 3

    return keras.Sequential([keras.Input((3,)), Tripled()])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (images, r"input shape is \(None, 4, 4\)"),
        (two_outputs, "output shape is"),
        (with_lambda, "holds Lambda, .*which cannot be served"),
        (of_ones_own, "holds Tripled, which cannot be served"),
        (Mine, "is a Mine: make it a Sequential or Functional one"),
    ],
)
def test_models_that_cannot_be_served(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        served_model(make(), None, None)
