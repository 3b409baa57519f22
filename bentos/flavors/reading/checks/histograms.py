"""HistGradientBoosting: its nodes are followed without looking, and so are sets of categories."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.reading.checks.trees import depth_of, width_of
from bentos.flavors.reading.names import expect
from bentos.process import without_warnings


def check_histograms(model: Any) -> None:
    """Refuse predictors that leave their arrays for some row."""
    if "_predictors" not in vars(model):
        return
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    known = np.asarray(model._bin_mapper.is_categorical_)
    width = width_of(model)
    expect(known.shape == (width,), "HistGradientBoosting has bins for other columns")
    _check_width(model, width)
    expect(type(model._predictors) is list, "HistGradientBoosting has no trees")
    for iteration in model._predictors:
        expect(type(iteration) is list, "HistGradientBoosting has no trees")
        for predictor in iteration:
            expect(type(predictor) is TreePredictor, "HistGradientBoosting has other trees")
            _check_predictor(predictor, known.astype(bool))


def _check_predictor(predictor: Any, known: NDArray[np.bool_]) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = predictor.nodes
    expect(
        isinstance(nodes, np.ndarray)
        and nodes.dtype == PREDICTOR_RECORD_DTYPE
        and nodes.ndim == 1
        and len(nodes) > 0,
        "a tree of HistGradientBoosting has no nodes",
    )
    inner = nodes["is_leaf"] == 0
    asked = nodes["feature_idx"][inner]
    expect(
        np.all((asked >= 0) & (asked < len(known))),
        f"a tree of HistGradientBoosting asks for a column beyond its {len(known)}",
    )
    sets = nodes["is_categorical"][inner] != 0
    expect(np.all(known[asked[sets]]), "a tree asks a number for its category")
    _check_sets(predictor, nodes["bitset_idx"][inner][sets])
    depth_of(nodes["left"][inner], nodes["right"][inner], np.flatnonzero(inner), len(nodes))


def _check_sets(predictor: Any, places: NDArray[np.uint32]) -> None:
    """The sets of categories are there at these places."""
    for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        expect(
            isinstance(bits, np.ndarray)
            and bits.dtype == np.uint32
            and bits.ndim == 2
            and bits.shape[1] == 8
            and np.all(places < len(bits)),
            "a tree asks for categories that are not there",
        )


def _check_width(model: Any, width: int) -> None:
    """What stands before the trees gives them as many columns as they ask for."""
    preprocessor = vars(model).get("_preprocessor")
    if preprocessor is None:
        return
    row = np.zeros((1, width), dtype=object)
    with without_warnings():  # a row without names of columns, and of new categories
        made = preprocessor.transform(row)
    expect(
        isinstance(made, np.ndarray) and made.shape == (1, width),
        "HistGradientBoosting gives its trees other columns than they ask for",
    )
