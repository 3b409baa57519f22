"""What models have in common when they answer: links, labels, probabilities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import no_method


def largest(b: Builder, scores: str, classes: NDArray[Any]) -> Answer:
    """The class of the largest score (rows, classes); of equal ones the first, as numpy does."""
    index = b.node("ArgMax", scores, dtype=np.int64, axis=1, keepdims=1)
    return Answer(index, 1, True, classes)


def positive(
    b: Builder, scores: str, classes: NDArray[Any], kind: str = "Greater", cut: float = 0.0
) -> Answer:
    """The second class where the score (rows, 1) is above a cut, or else the first."""
    above = b.node(kind, scores, b.constant(cut, b.types[scores]), dtype=np.bool_)
    return Answer(b.cast(above, np.int64), 1, True, classes)


def pair(b: Builder, second: str) -> str:
    """Probabilities (rows, 2) of that of the second class (rows, 1)."""
    one = b.constant(1.0, b.types[second])
    return b.concat([b.node("Sub", one, second, dtype=b.types[second]), second])


def by_probability(b: Builder, model: Any, tensor: str, classes: Any, method: str) -> Answer:
    """What a classifier says of its classes' probabilities (rows, classes)."""
    if method == "predict":
        return largest(b, tensor, classes)
    probable = Answer(tensor, len(classes))
    if method == "predict_log_proba" and hasattr(model, method):
        return logarithm(b, probable)
    if method != "predict_proba":
        raise no_method(model, method)
    return probable


def by_score(
    b: Builder, model: Any, raw: str, width: int, method: str, above: str = "Greater"
) -> Answer:
    """What a boosted classifier says of its classes' scores, one of which is enough for two."""
    if method == "decision_function":
        return Answer(raw, width, width == 1)
    if method == "predict":
        one = width == 1
        return positive(b, raw, model.classes_, above) if one else largest(b, raw, model.classes_)
    if width > 1:
        return by_probability(b, model, softmax(b, raw), model.classes_, method)
    link = getattr(model._loss, "link", model._loss)  # gradient boosting has one since 1.4
    double = type(link).__name__ in ("HalfLogitLink", "ExponentialLoss")
    second = logistic(b, b.math("Mul", raw, 2.0) if double else raw)
    return by_probability(b, model, pair(b, second), model.classes_, method)


def logistic(b: Builder, scores: str) -> str:
    """1 / (1 + exp(-x)), elementwise. ONNX Runtime's own Sigmoid gives 0 far below 0."""
    dtype = b.types[scores]
    power = b.node("Exp", b.node("Neg", scores, dtype=dtype), dtype=dtype)
    return b.math("Div", b.constant(1.0, dtype), b.math("Add", power, 1.0))


def softmax(b: Builder, scores: str) -> str:
    """Probabilities by the last axis."""
    top = b.reduce("ReduceMax", scores)
    powers = b.node("Exp", b.math("Sub", scores, top), dtype=b.types[scores])
    return b.math("Div", powers, b.reduce("ReduceSum", powers))


def logarithm(b: Builder, probabilities: Answer) -> Answer:
    """Log-probabilities of probabilities."""
    made = b.node("Log", probabilities.tensor, dtype=b.types[probabilities.tensor])
    return Answer(made, probabilities.width)


def total(b: Builder, tensors: Sequence[str]) -> str:
    """The sum of tensors, from the first to the last."""
    made = tensors[0]
    for tensor in tensors[1:]:
        made = b.math("Add", made, tensor)
    return made


def as_numbers(b: Builder, answer: Answer) -> str:
    """The tensor of an answer in float64, with labels that are numbers in place of indices."""
    if answer.classes is None:
        return b.cast(answer.tensor, np.float64)
    if answer.classes.dtype.kind not in "biuf":
        raise NoGraph("labels that are no numbers go on into another model")
    labels = b.constant(answer.classes.astype(np.float64))
    return b.node("Gather", labels, answer.tensor, dtype=np.float64, axis=0)
