"""scikit-learn's trees: alone, in forests, boosted, isolating."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.answers import by_probability, by_score
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import estimator, no_method, takes_missing
from bentos.flavors.graphs.trees import (
    LEQ,
    Tree,
    constant,
    float32_below,
    leaves,
    note,
    summed,
)

REGRESSORS = ("RandomForestRegressor", "ExtraTreesRegressor")
CLASSIFIERS = ("RandomForestClassifier", "ExtraTreesClassifier")
SINGLE = ("DecisionTreeRegressor", "ExtraTreeRegressor")
SINGLE_CLASSIFIERS = ("DecisionTreeClassifier", "ExtraTreeClassifier")


def read(tree: Any, features: NDArray[Any] | None = None) -> Tree:
    """A `sklearn.tree._tree.Tree`; its values are (nodes, outputs * classes)."""
    left = np.asarray(tree.children_left, dtype=np.int64)
    leaf = left == -1
    feature = np.where(leaf, 0, tree.feature)
    nodes = tree.__getstate__()["nodes"]
    ways = "missing_go_to_left" in nodes.dtype.names  # since scikit-learn 1.3
    return Tree(
        feature=feature if features is None else np.asarray(features)[feature],
        threshold=np.asarray(tree.threshold, dtype=np.float64),
        yes=left,
        no=np.asarray(tree.children_right, dtype=np.int64),
        leaf=leaf,
        missing=nodes["missing_go_to_left"].astype(bool) if ways else np.zeros(len(leaf), bool),
        value=tree.value.reshape(len(leaf), -1),
        mode=np.full(len(leaf), LEQ, np.uint8),
    )


def narrow(b: Builder, model: Any, frame: Frame, trees: Sequence[Tree]) -> str:
    """The rows as scikit-learn's trees read them: float32."""
    if not takes_missing(model):
        b.refuse_missing(frame)
    note(b, frame, trees, narrow=True)
    return b.matrix(frame, np.float32)


def added(b: Builder, rows: str, trees: Sequence[Tree], targets: Sequence[int], width: int) -> str:
    """Sums in float64 of trees that read float32."""
    return summed(b, b.cast(rows, np.float64), trees, targets, width)


def averaged(b: Builder, rows: str, trees: Sequence[Tree]) -> tuple[str, int]:
    """What each tree gives, summed from the first on and divided by their number."""
    width = trees[0].value.shape[1]
    if len(trees) == 1 or width > 1:
        rounded = [replace(tree, threshold=float32_below(tree.threshold)) for tree in trees]
        each = leaves(b, rows, rounded)
        made = b.reduce("ReduceSum", each, keep=False)
    else:
        made = added(b, rows, trees, [0] * len(trees), 1)
    return b.math("Div", made, float(len(trees))), width


@estimator(*REGRESSORS, *SINGLE)
def regression(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The mean of the trees."""
    if method != "predict":
        raise no_method(model, method)
    trees = [read(member.tree_) for member in getattr(model, "estimators_", [model])]
    tensor, width = averaged(b, narrow(b, model, frame, trees), trees)
    return Answer(tensor, width, model.n_outputs_ == 1)


@estimator(*CLASSIFIERS, *SINGLE_CLASSIFIERS)
def classification(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The mean of the trees' probabilities, and the class with the largest."""
    if model.n_outputs_ != 1:
        raise no_method(model, f"{method} of several labels")
    trees = [read(member.tree_) for member in getattr(model, "estimators_", [model])]
    trees = [replace(tree, value=_shares(tree.value)) for tree in trees]
    tensor, _ = averaged(b, narrow(b, model, frame, trees), trees)
    return by_probability(b, model, tensor, model.classes_, method)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of classes; a tree of scikit-learn 1.2 has numbers of rows."""
    sums = values.sum(axis=1, keepdims=True)
    return values if np.allclose(sums, 1.0) else values / np.where(sums == 0.0, 1.0, sums)


@estimator("GradientBoostingRegressor", "GradientBoostingClassifier")
def boosting(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """A start and the learning rate's share of each tree, added stage by stage."""
    raw, width = _boosted(b, model, frame)
    if hasattr(model, "classes_"):
        positive = "GreaterOrEqual" if hasattr(model._loss, "link") else "Greater"  # before 1.4
        return by_score(b, model, raw, width, method, positive)
    if method != "predict":
        raise no_method(model, method)
    return Answer(raw, 1, True)


def _boosted(b: Builder, model: Any, frame: Frame) -> tuple[str, int]:
    stages = model.estimators_
    width = stages.shape[1]
    read_trees = [read(member.tree_) for member in stages.ravel()]
    trees = [replace(tree, value=tree.value * model.learning_rate) for tree in read_trees]
    rows = narrow(b, model, frame, trees)
    b.refuse_missing(frame)
    start = constant(_start(model))
    targets = list(range(width)) * (1 + len(stages))
    return added(b, rows, [*start, *trees], targets, width), width


def _start(model: Any) -> list[float]:
    """What boosting starts from, where that is the same for every row."""
    if type(model.init_).__name__ not in ("DummyRegressor", "DummyClassifier", "str"):
        raise NoGraph(f"{type(model).__name__} that starts from an estimator has no exact form")
    row = np.zeros((1, model.n_features_in_), dtype=np.float32)
    return [float(value) for value in model._raw_predict_init(row)[0]]


@estimator("IsolationForest")
def isolation(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Path lengths, summed; a row is an outlier below the length at which its score says so."""
    trees = isolating(model)
    rows = narrow(b, model, frame, trees)
    depths = added(b, rows, trees, [0] * len(trees), 1)
    if method == "predict":
        limit = b.constant(depth_limit(model))
        outlier = b.node("LessOrEqual", depths, limit, dtype=np.bool_)
        classes = np.array([1, -1])
        return Answer(b.cast(outlier, np.int64), 1, True, classes)
    if method not in ("score_samples", "decision_function"):
        raise no_method(model, method)
    share = b.math("Div", depths, _expected(model))
    power = b.node("Pow", b.constant(2.0), b.node("Neg", share, dtype=np.float64),
                   dtype=np.float64)  # fmt: skip
    score = b.node("Neg", power, dtype=np.float64)
    if method == "decision_function":
        score = b.math("Sub", score, float(model.offset_))
    return Answer(score, 1, True)


def isolating(model: Any) -> list[Tree]:
    """The trees of an isolation forest, whose leaves give path lengths."""
    made = []
    members = zip(model.estimators_, model.estimators_features_, strict=True)
    for at, (member, features) in enumerate(members):
        length = model._decision_path_lengths[at] + model._average_path_length_per_tree[at] - 1.0
        made.append(replace(read(member.tree_, features), value=length[:, None]))
    return made


def _expected(model: Any) -> float:
    from sklearn.ensemble._iforest import _average_path_length

    expected = len(model.estimators_) * float(_average_path_length([model._max_samples])[0])
    if not expected:
        raise NoGraph("an IsolationForest of single rows has no exact form")
    return expected


def depth_limit(model: Any) -> float:
    """The largest summed path length at which a row is an outlier, found by halving.

    The score falls as lengths grow, so this says the same as scikit-learn's own comparison of
    scores, without a power whose last bit differs between libraries.
    """
    expected, offset = _expected(model), float(model.offset_)

    def outlier(depth: float) -> bool:
        score = -(2 ** (-np.divide(np.array([depth]), expected)))
        return bool((score - offset < 0)[0])

    return falling(outlier, 1024.0 * expected)


def falling(is_low: Callable[[float], bool], high: float) -> float:
    """The largest number of 0 to `high` that is low, or -1, where those below a low one are."""
    low = -1.0
    if not is_low(0.0):
        return low
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if is_low(middle) else (low, middle)
    return low
