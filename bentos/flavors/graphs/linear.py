"""Linear models: products with weights, and what links them to answers.

The order of a sum is the library's own, so numbers agree to rounding, not to the last bit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.answers import (
    largest,
    logarithm,
    logistic,
    pair,
    positive,
    softmax,
)
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.features import projected
from bentos.flavors.graphs.registry import estimator, no_method

REGRESSORS = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV",
    "LassoLarsIC", "ElasticNet", "ElasticNetCV", "Lars", "LarsCV", "BayesianRidge",
    "ARDRegression", "HuberRegressor", "TheilSenRegressor", "SGDRegressor", "LinearSVR",
    "QuantileRegressor", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveRegressor", "MultiTaskLasso", "MultiTaskElasticNet", "MultiTaskLassoCV",
    "MultiTaskElasticNetCV",
)  # fmt: skip
CLASSIFIERS = (
    "LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearSVC", "RidgeClassifier",
    "RidgeClassifierCV", "Perceptron", "PassiveAggressiveClassifier",
    "LinearDiscriminantAnalysis",
)  # fmt: skip
GENERALIZED = ("PoissonRegressor", "GammaRegressor", "TweedieRegressor")


def scores(b: Builder, model: Any, frame: Frame) -> tuple[str, int]:
    """`X @ coef.T + intercept` (rows, width)."""
    weights = np.atleast_2d(model.coef_).T
    offset = np.atleast_1d(np.asarray(model.intercept_))
    return projected(b, frame, weights, offset), weights.shape[1]


@estimator(*REGRESSORS)
def regression(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The products; (rows,) where the model was fitted to one target of that shape."""
    if method != "predict":
        raise no_method(model, method)
    tensor, width = scores(b, model, frame)
    return Answer(tensor, width, np.ndim(model.coef_) == 1)


@estimator(*GENERALIZED)
def generalized(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The products through the inverse of the link."""
    if method != "predict":
        raise no_method(model, method)
    tensor, width = scores(b, model, frame)
    link = type(model._base_loss.link).__name__
    if link == "LogLink":
        tensor = b.node("Exp", tensor, dtype=b.types[tensor])
    elif link != "IdentityLink":
        raise no_method(model, f"predict through a {link}")
    return Answer(tensor, width, True)


@estimator(*CLASSIFIERS)
def classifier(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Classes by the largest product, the products, or probabilities of them."""
    tensor, width = scores(b, model, frame)
    if method == "decision_function":
        return Answer(tensor, width, width == 1)
    if method == "predict":
        if getattr(getattr(model, "_label_binarizer", None), "y_type_", "").startswith("multil"):
            raise no_method(model, "predict of several labels")
        if width == 1:
            return positive(b, tensor, model.classes_)
        return largest(b, tensor, model.classes_)
    probable = _probabilities(b, model, tensor, width)
    if method == "predict_log_proba" and type(model).__name__ != "LinearDiscriminantAnalysis":
        return logarithm(b, probable)
    if method != "predict_proba":
        raise no_method(model, method)
    return probable


def _probabilities(b: Builder, model: Any, tensor: str, width: int) -> Answer:
    name = type(model).__name__
    if name == "SGDClassifier" and model.loss != "log_loss":
        raise no_method(model, f"predict_proba with loss={model.loss!r}")
    if not hasattr(model, "predict_proba"):
        raise no_method(model, "predict_proba")
    if width == 1:
        return Answer(pair(b, logistic(b, tensor)), 2)
    if name == "SGDClassifier":
        return Answer(_normalized(b, logistic(b, tensor), width), width)
    return Answer(softmax(b, tensor), width)


def _normalized(b: Builder, each: str, width: int) -> str:
    """Probabilities of one class against the rest, made to sum to 1; equal where all are 0."""
    total = b.reduce("ReduceSum", each)
    nothing = b.node("Equal", total, b.constant(0.0, b.types[each]), dtype=np.bool_)
    one = b.constant(1.0, b.types[each])
    whole = b.node("Where", nothing, b.constant(float(width), b.types[each]), total,
                   dtype=b.types[each])  # fmt: skip
    return b.math("Div", b.node("Where", nothing, one, each, dtype=b.types[each]), whole)


@estimator("PLSRegression")
def partial_least_squares(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Centered and scaled columns times weights, plus an offset."""
    if method != "predict":
        raise no_method(model, method)
    tensor = b.in_place("Sub", b.matrix(frame), model._x_mean)
    reach: NDArray[Any] = np.array([column.reach for column in frame]) + np.abs(model._x_mean)
    centered = b.changed(tensor, frame, reach)
    weights = np.asarray(model.coef_).T
    made = projected(b, centered, weights, np.asarray(model.intercept_))
    return Answer(made, weights.shape[1], bool(model._predict_1d))
