"""Estimators made of estimators: voting, stacking, bagging, calibration, adaptive boosting."""

from dataclasses import replace
from typing import Any

import numpy as np

from bentos.flavors.graphs.answers import (
    as_numbers,
    by_probability,
    largest,
    logistic,
    pair,
    softmax,
    total,
)
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.forests import narrow, read
from bentos.flavors.graphs.registry import answer, estimator, no_method
from bentos.flavors.graphs.trees import Tree, float32_below, leaves


@estimator("VotingRegressor")
def voting_regressor(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The weighted mean of the members."""
    if method != "predict":
        raise no_method(model, method)
    each = [as_numbers(b, answer(b, member, frame, "predict")) for member in model.estimators_]
    return Answer(_weighted(b, each, model._weights_not_none), 1, True)


@estimator("VotingClassifier")
def voting_classifier(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The weighted mean of probabilities, or the most votes."""
    classes, weights = model.le_.classes_, model._weights_not_none
    if model.voting == "soft":
        each = [answer(b, member, frame, "predict_proba").tensor for member in model.estimators_]
        return by_probability(b, model, _weighted(b, each, weights), classes, method)
    if method != "predict":
        raise no_method(model, method)
    each = [_votes(b, member, frame, len(classes)) for member in model.estimators_]
    if weights is not None:
        each = [b.math("Mul", votes, float(w)) for votes, w in zip(each, weights, strict=True)]
    return largest(b, total(b, each), classes)


def _votes(b: Builder, member: Any, frame: Frame, width: int) -> str:
    """1 for the class that a member chose (rows, classes)."""
    chosen = as_numbers(b, answer(b, member, frame, "predict"))
    ids = b.constant(np.arange(width, dtype=np.float64)[None])
    return b.cast(b.node("Equal", chosen, ids, dtype=np.bool_), np.float64)


def _weighted(b: Builder, each: list[str], weights: Any) -> str:
    """`np.average` over members."""
    if weights is None:
        return b.math("Div", total(b, each), float(len(each)))
    scaled = [b.math("Mul", tensor, float(w)) for tensor, w in zip(each, weights, strict=True)]
    return b.math("Div", total(b, scaled), float(np.sum(weights)))


@estimator("StackingRegressor", "StackingClassifier")
def stacking(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """A last estimator on what all others say, and on the columns where they pass through."""
    each: list[Frame] = []
    for member, asked in zip(model.estimators_, model.stack_method_, strict=True):
        given = answer(b, member, frame, asked)
        tensor = as_numbers(b, given)
        columns = b.frame(tensor, np.full(given.width, 1e300))
        binary = asked == "predict_proba" and given.width == 2
        each.append(columns[1:] if binary and len(model.classes_) == 2 else columns)
    if model.passthrough:
        each.append(frame)
    given = answer(b, model.final_estimator_, _bounded(sum(each, ())), method)
    if given.classes is None or not hasattr(model, "_label_encoder"):
        return given
    return Answer(given.tensor, 1, True, model._label_encoder.classes_[given.classes])


def _bounded(frame: Frame) -> Frame:
    """What estimators say of rows that the door lets in stays within float32."""
    return tuple(replace(column, reach=min(column.reach, 1e30)) for column in frame)


@estimator("BaggingRegressor", "BaggingClassifier")
def bagging(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The mean of members that look at some of the columns each."""
    members = list(zip(model.estimators_, model.estimators_features_, strict=True))
    classify = hasattr(model, "classes_")
    asked = "predict_proba" if classify else "predict"
    if classify and not all(hasattr(member, asked) for member, _ in members):
        raise NoGraph("a BaggingClassifier of voters has no exact form")
    if classify and any(len(m.classes_) != len(model.classes_) for m, _ in members):
        raise NoGraph("a BaggingClassifier whose members know some classes has no exact form")
    if all(hasattr(member, "tree_") for member, _ in members):
        trees = [read(member.tree_, features) for member, features in members]
        tensor = _mean_of_trees(b, members[0][0], frame, trees)
    else:
        each = [
            as_numbers(b, answer(b, member, tuple(frame[at] for at in features), asked))
            for member, features in members
        ]
        tensor = b.math("Div", total(b, each), float(len(each)))
    if classify:
        return by_probability(b, model, tensor, model.classes_, method)
    if method != "predict":
        raise no_method(model, method)
    return Answer(tensor, 1, True)


def _mean_of_trees(b: Builder, member: Any, frame: Frame, trees: list[Tree]) -> str:
    return b.math("Div", _sum_of_trees(b, member, frame, trees), float(len(trees)))


def _sum_of_trees(b: Builder, member: Any, frame: Frame, trees: list[Tree]) -> str:
    rows = narrow(b, member, frame, trees)
    rounded = [replace(tree, threshold=float32_below(tree.threshold)) for tree in trees]
    return b.reduce("ReduceSum", leaves(b, rows, rounded), keep=False)


@estimator("AdaBoostClassifier")
def ada_boost(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Votes of trees, each with its weight for its class and a share against the others."""
    classes = len(model.classes_)
    if not all(hasattr(member, "tree_") for member in model.estimators_):
        raise NoGraph("an AdaBoostClassifier of other than trees has no exact form")
    weights = model.estimator_weights_[: len(model.estimators_)]
    trees = []
    for member, weight in zip(model.estimators_, weights, strict=True):
        tree = read(member.tree_)
        chosen = member.classes_[tree.value.argmax(axis=1)]
        hit = chosen[:, None] == model.classes_[None]
        trees.append(replace(tree, value=np.where(hit, weight, -1 / (classes - 1) * weight)))
    votes = _sum_of_trees(b, model.estimators_[0], frame, trees)
    votes = b.math("Div", votes, float(model.estimator_weights_.sum()))
    if classes == 2:
        signed = b.math("Mul", votes, np.array([-1.0, 1.0]))
        votes = b.reduce("ReduceSum", signed)
    return _by_votes(b, model, votes, classes, method)


def _by_votes(b: Builder, model: Any, votes: str, classes: int, method: str) -> Answer:
    if method == "decision_function":
        return Answer(votes, 1 if classes == 2 else classes, classes == 2)
    if method == "predict":
        if classes > 2:
            return largest(b, votes, model.classes_)
        above = b.node("Greater", votes, b.constant(0.0), dtype=np.bool_)
        return Answer(b.cast(above, np.int64), 1, True, model.classes_)
    if classes == 2:
        both = b.concat([b.node("Neg", votes, dtype=np.float64), votes])
        votes = b.math("Div", both, 2.0)
    else:
        votes = b.math("Div", votes, float(classes - 1))
    return by_probability(b, model, softmax(b, votes), model.classes_, method)


@estimator("CalibratedClassifierCV")
def calibrated(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The mean of calibrated members' probabilities."""
    each = [_calibrated(b, member, frame) for member in model.calibrated_classifiers_]
    tensor = b.math("Div", total(b, each), float(len(each)))
    return by_probability(b, model, tensor, model.classes_, method)


def _calibrated(b: Builder, model: Any, frame: Frame) -> str:
    """Each class's score through its sigmoid, made to sum to 1."""
    if model.method != "sigmoid":
        raise NoGraph(f"calibration by {model.method} has no exact form")
    if not np.array_equal(model.estimator.classes_, model.classes):
        raise NoGraph("a calibrated estimator that knows some classes has no exact form")
    asked = (
        "decision_function" if hasattr(model.estimator, "decision_function") else "predict_proba"
    )
    given = answer(b, model.estimator, frame, asked)
    scores, width = b.cast(given.tensor, np.float64), given.width
    if len(model.classes) == 2 and width == 2:
        scores = b.node("Gather", scores, b.constant(np.array([1])), dtype=np.float64, axis=1)
    slopes = np.array([float(c.a_) for c in model.calibrators])
    shifts = np.array([float(c.b_) for c in model.calibrators])
    bent = b.math("Add", b.math("Mul", scores, slopes), shifts)
    each = logistic(b, b.node("Neg", bent, dtype=np.float64))
    if len(model.classes) == 2:
        return pair(b, each)
    return b.math("Div", each, b.reduce("ReduceSum", each))
