"""XGBoost's trees: all in float32, with ways for missing values, and sets of categories.

Format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.answers import by_probability, largest, pair
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Column, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.encoders import coded
from bentos.flavors.graphs.registry import estimator, no_method
from bentos.flavors.graphs.trees import LT, MEMBER, Tree, constant, note, summed

SIGMOID = ("binary:logistic", "reg:logistic")
POWER = ("count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft")
SAME = (
    "reg:squarederror", "reg:linear", "reg:absoluteerror", "reg:pseudohubererror",
    "reg:squaredlogerror", "reg:quantileerror", "binary:logitraw", "rank:pairwise", "rank:ndcg",
    "rank:map",
)  # fmt: skip


@estimator("xgboost.Booster")
def booster(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """What `Booster.predict` gives: all trees, through the objective's link."""
    if method != "predict":
        raise no_method(model, method)
    return _linked(b, *_margin(b, model, frame, None, np.nan))


@estimator("xgboost.XGBRegressor", "xgboost.XGBRFRegressor", "xgboost.XGBRanker")
def regressor(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """The trees up to the best iteration, through the objective's link."""
    if method != "predict":
        raise no_method(model, method)
    return _linked(b, *_own_margin(b, model, frame))


@estimator("xgboost.XGBClassifier", "xgboost.XGBRFClassifier")
def classifier(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """Probabilities, and the class with the largest."""
    margin, width, objective = _own_margin(b, model, frame)
    classes = np.arange(int(model.n_classes_))
    if objective in SIGMOID and width == 1:
        if method == "predict":
            above = b.node("Greater", margin, b.constant(_even(), np.float32), dtype=np.bool_)
            return Answer(b.cast(above, np.int64), 1, True, classes)
        tensor = pair(b, _sigmoid(b, margin))
    elif objective == "multi:softprob":
        if method == "predict":
            return largest(b, margin, classes)
        tensor = _softmax(b, margin)
    else:
        raise no_method(model, f"{method} with {objective}")
    return by_probability(b, model, tensor, classes, method)


def _own_margin(b: Builder, model: Any, frame: Frame) -> tuple[str, int, str]:
    _, rounds = model._get_iteration_range(None)
    return _margin(b, model.get_booster(), frame, rounds or None, float(model.missing))


def _margin(
    b: Builder, model: Any, frame: Frame, rounds: int | None, missing: float
) -> tuple[str, int, str]:
    """The sums (rows, width), float32, and the objective."""
    learner = json.loads(model.save_raw("json"))["learner"]
    objective, params = learner["objective"]["name"], learner["learner_model_param"]
    grown = learner["gradient_booster"]
    if grown["name"] != "gbtree":
        raise NoGraph(f"XGBoost's {grown['name']} has no exact form")
    starts = _starts(params["base_score"], objective)
    width = max(int(params["num_class"]), int(params["num_target"]), 1)
    forest = grown["model"]
    count = len(forest["trees"])
    if rounds is not None:
        count = forest["iteration_indptr"][rounds]
    trees = [read(tree) for tree in forest["trees"][:count]]
    rows = _entered(b, model, frame, missing, trees)
    first = np.broadcast_to(starts, width).tolist()
    targets = [*range(width), *forest["tree_info"][:count]]
    return summed(b, rows, [*constant(first), *trees], targets, width), width, objective


def _starts(written: str, objective: str) -> NDArray[np.float32]:
    """The base score, from which sums start: what links to it."""
    score = np.array(json.loads(written), dtype=np.float32).ravel()
    if objective in SIGMOID or objective == "binary:logitraw":
        if objective == "binary:logitraw":
            return score
        return np.asarray(-np.log(np.float32(1) / score - np.float32(1)), np.float32)
    return np.asarray(np.log(score), np.float32) if objective in POWER else score


def read(tree: dict[str, Any]) -> Tree:
    """One tree of the JSON form. Rows whose category is in a node's set go right."""
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise NoGraph("XGBoost's trees of vectors have no exact form")
    left = np.array(tree["left_children"], np.int64)
    right = np.array(tree["right_children"], np.int64)
    leaf = left == -1
    split = np.array(tree["split_conditions"], np.float32).astype(np.float64)
    sets = np.array(tree["split_type"], np.uint8) == 1
    to_left = np.array(tree["default_left"], bool)
    return Tree(
        feature=np.where(leaf, 0, np.array(tree["split_indices"], np.int64)),
        threshold=np.where(sets, 0.0, split),
        yes=np.where(sets, right, left),
        no=np.where(sets, left, right),
        leaf=leaf,
        missing=np.where(sets, ~to_left, to_left),
        value=split[:, None],
        mode=np.where(sets, MEMBER, LT).astype(np.uint8),
        members=_members(tree),
    )


def _members(tree: dict[str, Any]) -> tuple[tuple[int, NDArray[np.float64]], ...]:
    parts = zip(
        tree["categories_nodes"],
        tree["categories_segments"],
        tree["categories_sizes"],
        strict=True,
    )
    every = np.array(tree["categories"], np.float64)
    return tuple((node, every[start : start + size]) for node, start, size in parts)


def _entered(b: Builder, model: Any, frame: Frame, missing: float, trees: list[Tree]) -> str:
    """The rows as XGBoost reads them: float32, categories by number, NaN for what is missing."""
    note(b, frame, trees, narrow=True)
    columns = _categories(b, model, frame)
    rows = b.matrix(columns, np.float32)
    if not np.isnan(missing):
        same = b.node("Equal", rows, b.constant(missing, np.float32), dtype=np.bool_)
        none = b.constant(np.nan, np.float32)
        rows = b.node("Where", same, none, rows, dtype=np.float32)
    return rows


def _categories(b: Builder, model: Any, frame: Frame) -> Frame:
    types = model.feature_types or ["float"] * len(frame)
    if "c" not in types:
        return frame
    kept = model.get_categories(export_to_arrow=True)
    known = dict(kept.to_arrow()) if kept is not None else {}
    names = model.feature_names or [None] * len(frame)
    made: list[Column] = []
    for name, kind, column in zip(names, types, frame, strict=True):
        values = known.get(name)
        if kind != "c":
            made.append(column)
        elif values is None:
            raise NoGraph(f"the categories of {name!r} are not in the model")
        else:
            made += coded(b, column, values.to_pylist(), refuses=True)
    return tuple(made)


def _linked(b: Builder, margin: str, width: int, objective: str) -> Answer:
    if objective in SIGMOID:
        return Answer(_sigmoid(b, margin), width, width == 1)
    if objective == "multi:softprob":
        return Answer(_softmax(b, margin), width)
    if objective in POWER:
        return Answer(_power(b, margin), width, width == 1)
    if objective in SAME:
        return Answer(margin, width, width == 1)
    raise NoGraph(f"XGBoost's {objective} has no exact form")


def _sigmoid(b: Builder, margin: str) -> str:
    """As XGBoost computes it: 1 / (exp(-x) + 1), where -x is at most 88.7."""
    negative = b.node("Neg", margin, dtype=np.float32)
    bounded = b.node("Min", negative, b.constant(88.7, np.float32), dtype=np.float32)
    one = b.constant(1.0, np.float32)
    return b.math("Div", one, b.math("Add", _power(b, bounded), 1.0))


def _softmax(b: Builder, margin: str) -> str:
    """As XGBoost computes it: powers in float32, their sum in float64."""
    powers = _power(b, b.math("Sub", margin, b.reduce("ReduceMax", margin)))
    whole = b.reduce("ReduceSum", b.cast(powers, np.float64))
    return b.math("Div", powers, b.cast(whole, np.float32))


def _power(b: Builder, tensor: str) -> str:
    """exp(x) rounded once to float32, as the C library does; ONNX Runtime's own is coarser."""
    wide = b.node("Exp", b.cast(tensor, np.float64), dtype=np.float64)
    return b.cast(wide, np.float32)


def _even() -> float:
    """The largest float32 margin whose probability rounds to one half."""
    low, high = np.float32(0), np.float32(1e-6)
    one = np.float32(1)
    while np.nextafter(low, high) < high:
        middle = np.float32((low + high) / 2)
        if one / (np.exp(-middle) + one) > np.float32(0.5):
            high = middle
        else:
            low = middle
    return float(low)
