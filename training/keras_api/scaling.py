"""scikit-learn's scalers as what they are: one multiplication and one addition per column."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.utils.validation import NotFittedError, check_is_fitted

from training.errors import InputError

Floats: TypeAlias = NDArray[np.float64]
Scaler: TypeAlias = StandardScaler | MinMaxScaler | RobustScaler | MaxAbsScaler | None
UNIFORM = np.sqrt(12)  # a uniform variable's range in standard deviations


@dataclass(frozen=True)
class Scaling:
    """What a scaler does and knows of its columns, each value [columns].

    It makes `x * scale + offset` of x; the rows that it was fitted with lie around `center`, with
    the standard deviation `spread`, both in the units of x.
    """

    scale: Floats
    offset: Floats
    center: Floats
    spread: Floats

    def inverse(self) -> tuple[Floats, Floats]:
        """Scale and offset of the way back."""
        return 1 / self.scale, -self.offset / self.scale

    def standardizer(self) -> tuple[Floats, Floats]:
        """Scale and offset from scaled values to standardized ones: mean 0, deviation 1."""
        spread = self.spread * self.scale
        return 1 / spread, -(self.center * self.scale + self.offset) / spread


def read_scaler(name: str, scaler: Scaler, columns: int) -> Scaling:
    """Read a fitted scaler of so many columns; None scales nothing.

    Raises `InputError` for what is not fitted, of another width, or no affine scaler.
    """
    if scaler is None:
        one, zero = np.ones(columns), np.zeros(columns)
        return Scaling(one, zero, zero, one)
    reader = READERS.get(type(scaler))
    if reader is None:
        known = ", ".join(kind.__name__ for kind in READERS)
        raise InputError(f"{name} is a {type(scaler).__name__}: give one of {known}, or None.")
    try:
        check_is_fitted(scaler)
    except NotFittedError:
        raise InputError(f"{name} is not fitted: call its fit with the training rows.") from None
    if scaler.n_features_in_ != columns:
        raise InputError(
            f"{name} scales {scaler.n_features_in_} columns, but the model has {columns} there."
        )
    return Scaling(*(np.broadcast_to(part, columns).astype(np.float64) for part in reader(scaler)))


def _standard(scaler: StandardScaler) -> tuple[Any, ...]:
    center = 0.0 if scaler.mean_ is None else scaler.mean_
    spread = 1.0 if scaler.scale_ is None else scaler.scale_
    return 1 / spread, -center / spread if scaler.with_mean else 0.0, center, spread


def _min_max(scaler: MinMaxScaler) -> tuple[Any, ...]:
    if scaler.clip:
        raise InputError("A MinMaxScaler that clips is not affine: fit one with clip=False.")
    # scale_ is finite for a constant column too, where data_range_ is 0.
    low, high = scaler.feature_range
    spread = (high - low) / scaler.scale_ / UNIFORM
    center = (scaler.data_min_ + scaler.data_max_) / 2
    return scaler.scale_, scaler.min_, center, spread


def _robust(scaler: RobustScaler) -> tuple[Any, ...]:
    center = 0.0 if scaler.center_ is None else scaler.center_
    scale = 1.0 if scaler.scale_ is None else scaler.scale_
    low, high = (NormalDist().inv_cdf(percent / 100) for percent in scaler.quantile_range)
    known = scaler.scale_ is None or scaler.unit_variance
    return 1 / scale, -center / scale, center, scale / (1.0 if known else high - low)


def _max_abs(scaler: MaxAbsScaler) -> tuple[Any, ...]:
    return 1 / scaler.scale_, 0.0, 0.0, 2 * scaler.scale_ / UNIFORM


READERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    StandardScaler: _standard,
    MinMaxScaler: _min_max,
    RobustScaler: _robust,
    MaxAbsScaler: _max_abs,
}
