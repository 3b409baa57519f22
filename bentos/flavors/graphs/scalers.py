"""Scalers: what is added to columns of numbers, and what they are multiplied by.

Each does what scikit-learn 1.9 does, in its order and dtypes: `sklearn/preprocessing/_data.py`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Frame, reaches
from bentos.flavors.graphs.registry import transformer


@transformer("StandardScaler")
def standard(b: Builder, model: Any, frame: Frame) -> Frame:
    """Subtract means, divide by scales, both in the dtype of the rows."""
    center = model.mean_ if model.with_mean else None
    return _centered(b, frame, center, model.scale_, own=True)


@transformer("RobustScaler")
def robust(b: Builder, model: Any, frame: Frame) -> Frame:
    """Subtract centers, divide by scales, both in float64."""
    center = model.center_ if model.with_centering else None
    return _centered(b, frame, center, model.scale_ if model.with_scaling else None)


def _centered(
    b: Builder,
    frame: Frame,
    center: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    own: bool = False,
) -> Frame:
    tensor, reach, steps = b.matrix(frame), reaches(frame), []
    apply = b.math if own else b.in_place
    if center is not None:
        tensor, reach = apply("Sub", tensor, center), reach + np.abs(center)
        steps.append(("Add", -center))
    if scale is not None:
        tensor, reach = apply("Div", tensor, scale), _quotient(reach, scale)
        steps.append(("Mul", 1 / scale))
    return b.changed(tensor, frame, reach, *steps)


def _quotient(reach: NDArray[np.float64], scale: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.asarray(reach / np.abs(scale))


@transformer("MinMaxScaler")
def min_max(b: Builder, model: Any, frame: Frame) -> Frame:
    """Multiply by scales, add minima, and clip where the model clips."""
    tensor = b.in_place("Mul", b.matrix(frame), model.scale_)
    tensor = b.in_place("Add", tensor, model.min_)
    reach = reaches(frame) * np.abs(model.scale_) + np.abs(model.min_)
    if model.clip:
        tensor = clipped(b, tensor, *model.feature_range)
    return b.changed(tensor, frame, reach, ("Mul", model.scale_), ("Add", model.min_))


@transformer("MaxAbsScaler")
def max_abs(b: Builder, model: Any, frame: Frame) -> Frame:
    """Divide by scales, and clip where the model clips."""
    tensor = b.in_place("Div", b.matrix(frame), model.scale_)
    if getattr(model, "clip", False):
        tensor = clipped(b, tensor, -1.0, 1.0)
    reach = _quotient(reaches(frame), model.scale_)
    return b.changed(tensor, frame, reach, ("Mul", 1 / model.scale_))


def clipped(b: Builder, tensor: str, low: float, high: float) -> str:
    """The tensor with no value outside of a range; missing ones stay."""
    dtype = b.types[tensor]
    bounds = b.constant(np.array(low), dtype), b.constant(np.array(high), dtype)
    return b.node("Clip", tensor, *bounds, dtype=dtype)


@transformer("Normalizer")
def normalizer(b: Builder, model: Any, frame: Frame) -> Frame:
    """Divide each row by its norm; a row of zeros stays."""
    b.refuse_missing(frame)
    tensor = b.matrix(frame)
    kind = {"l1": "ReduceL1", "l2": "ReduceL2", "max": "ReduceMax"}[model.norm]
    far = float(reaches(frame).max()) if frame else 0.0
    if model.norm == "l2":
        b.frame(tensor, np.full(len(frame), far**2 * len(frame)))  # raises where squares overflow
        squares = b.math("Mul", tensor, tensor)
        norm = b.node("Sqrt", b.reduce("ReduceSum", squares), dtype=b.types[tensor])
    else:
        size = b.node("Abs", tensor, dtype=b.types[tensor])
        norm = b.reduce("ReduceMax" if kind == "ReduceMax" else "ReduceSum", size)
    zero = b.node("Equal", norm, b.constant(0.0, b.types[norm]), dtype=np.bool_)
    norm = b.node("Where", zero, b.constant(1.0, b.types[norm]), norm, dtype=b.types[norm])
    return b.frame(b.math("Div", tensor, norm), np.ones(len(frame)))


@transformer("Binarizer")
def binarizer(b: Builder, model: Any, frame: Frame) -> Frame:
    """1 above the threshold, 0 elsewhere."""
    b.refuse_missing(frame)
    tensor = b.matrix(frame)
    dtype = b.types[tensor]
    for column in frame:
        b.note(column, np.array([model.threshold]))
    above = b.node("Greater", tensor, b.constant(model.threshold, dtype), dtype=np.bool_)
    return b.frame(b.cast(above, dtype), np.ones(len(frame)))
