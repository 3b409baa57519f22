from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from training.errors import InputError
from training.keras_api.scaling import Scaling, read_scaler

X = np.random.default_rng(3).normal([5.0, -2000.0, 0.01], [2.0, 300.0, 0.001], (400, 3))
SCALERS: list[Any] = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(),
    MinMaxScaler((-1, 3)),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
    RobustScaler(quantile_range=(10, 90), unit_variance=True),
    MaxAbsScaler(),
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_scales_as_scikit_learn_does(scaler: Any) -> None:
    scaling = read_scaler("scaler_X", scaler.fit(X), 3)
    scaled = X * scaling.scale + scaling.offset
    np.testing.assert_allclose(scaled, scaler.transform(X), rtol=1e-9, atol=1e-9)
    scale, offset = scaling.inverse()
    np.testing.assert_allclose(scaled * scale + offset, X, rtol=1e-9)


def standardized(scaling: Scaling, rows: Any) -> Any:
    scale, offset = scaling.standardizer()
    return (rows * scaling.scale + scaling.offset) * scale + offset


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        RobustScaler(),
        RobustScaler(quantile_range=(10, 90)),
        RobustScaler(unit_variance=True),
    ],
    ids=str,
)
def test_knows_where_normal_rows_lie(scaler: Any) -> None:
    scaling = read_scaler("scaler_X", scaler.fit(X), 3)
    rows = standardized(scaling, X)
    np.testing.assert_allclose(np.mean(rows, axis=0), 0, atol=0.1)
    np.testing.assert_allclose(np.std(rows, axis=0), 1, atol=0.1)


@pytest.mark.parametrize(
    "scaler", [MinMaxScaler(), MinMaxScaler((-1, 3)), MaxAbsScaler()], ids=str
)
def test_takes_rows_between_bounds_for_uniform(scaler: Any) -> None:
    uniform = np.random.default_rng(0).uniform(-4, 4, (4000, 2))
    rows = standardized(read_scaler("scaler_X", scaler.fit(uniform), 2), uniform)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(rows.std(axis=0), 1, atol=0.03)


def test_none_scales_nothing() -> None:
    scaling = read_scaler("scaler_X", None, 3)
    np.testing.assert_array_equal(X * scaling.scale + scaling.offset, X)
    np.testing.assert_array_equal(standardized(scaling, X), X)


@pytest.mark.parametrize("kind", [StandardScaler, MinMaxScaler, RobustScaler, MaxAbsScaler])
def test_a_column_that_never_changes(kind: Callable[[], Any]) -> None:
    still = np.column_stack([X[:, 0], np.full(len(X), 7.0)])
    scaler = kind().fit(still)
    scaling = read_scaler("scaler_X", scaler, 2)
    scaled = still * scaling.scale + scaling.offset
    np.testing.assert_allclose(scaled, scaler.transform(still), atol=1e-9)
    assert np.isfinite(standardized(scaling, still)).all()


@pytest.mark.parametrize(
    ("scaler", "message"),
    [
        (PowerTransformer().fit(X), "scaler_y is a PowerTransformer: give one of StandardScaler"),
        ("scaler", "scaler_y is a str"),
        (StandardScaler(), "scaler_y is not fitted"),
        (StandardScaler().fit(X[:, :2]), "scaler_y scales 2 columns, but the model has 3"),
        (MinMaxScaler(clip=True).fit(X), "clips"),
    ],
)
def test_what_is_no_scaling(scaler: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_scaler("scaler_y", scaler, 3)
