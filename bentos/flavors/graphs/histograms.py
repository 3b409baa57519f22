"""HistGradientBoosting: thresholds in float64, ways for missing values, sets of categories."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.answers import by_score
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import estimator, no_method, transform
from bentos.flavors.graphs.trees import LEQ, MEMBER, Tree, constant, note, summed


@estimator("HistGradientBoostingRegressor", "HistGradientBoostingClassifier")
def histogram_boosting(b: Builder, model: Any, frame: Frame, method: str) -> Answer:
    """A baseline and all trees, added iteration by iteration."""
    raw, width = _raw(b, model, frame)
    if hasattr(model, "classes_"):
        return by_score(b, model, raw, width, method)
    if method != "predict":
        raise no_method(model, method)
    return Answer(_linked(b, model, raw), 1, True)


def _raw(b: Builder, model: Any, frame: Frame) -> tuple[str, int]:
    width = model.n_trees_per_iteration_
    preprocessor = getattr(model, "_preprocessor", None)  # since scikit-learn 1.4
    if preprocessor is not None:
        frame = _preprocessed(b, preprocessor, frame)
    known, places = model._bin_mapper.make_known_categories_bitsets()
    trees = [
        read(predictor, known, places)
        for iteration in model._predictors
        for predictor in iteration
    ]
    note(b, frame, trees, narrow=False)
    rows = b.matrix(frame, np.float64)
    start = constant(np.ravel(model._baseline_prediction).tolist())
    targets = list(range(width)) * (1 + len(model._predictors))
    return summed(b, rows, [*start, *trees], targets, width), width


def _preprocessed(b: Builder, preprocessor: Any, frame: Frame) -> Frame:
    """The categories' numbers, then the other columns as they are."""
    made: list[Frame] = []
    for name, step, _ in preprocessor.transformers_:
        chosen = tuple(frame[at] for at in preprocessor._transformer_to_input_indices[name])
        made.append(transform(b, step, chosen) if name == "encoder" else chosen)
    return sum(made, ())


def read(predictor: Any, known: NDArray[Any], places: NDArray[Any]) -> Tree:
    """A `TreePredictor`. What is no known category goes the way of missing values."""
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    sets = ~leaf & nodes["is_categorical"].astype(bool)
    missing = nodes["missing_go_to_left"].astype(bool)
    yes, no = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    members = []
    for at in np.flatnonzero(sets):
        left = _values(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][at]])
        if missing[at]:  # ask for the other side's categories, so that the unknown are left
            every = _values(known[places[nodes["feature_idx"][at]]])
            left = np.setdiff1d(every, left)
            yes[at], no[at] = no[at], yes[at]
            missing[at] = False
        members.append((int(at), left.astype(np.float64)))
    return Tree(
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(sets, 0.0, nodes["num_threshold"]),
        yes=yes,
        no=no,
        leaf=leaf,
        missing=missing,
        value=nodes["value"][:, None],
        mode=np.where(sets, MEMBER, LEQ).astype(np.uint8),
        members=tuple(members),
    )


def _values(bitset: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The categories, 0 to 255, in a set of eight words."""
    bits = np.unpackbits(bitset.astype("<u4").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits)


def _linked(b: Builder, model: Any, raw: str) -> str:
    link = type(model._loss.link).__name__
    if link == "LogLink":
        return b.node("Exp", raw, dtype=np.float64)
    if link != "IdentityLink":
        raise NoGraph(f"HistGradientBoosting through a {link} has no exact form")
    return raw
