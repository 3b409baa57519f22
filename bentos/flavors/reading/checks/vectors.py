"""Support vectors: libsvm reads as many numbers as a count says."""

from typing import Any

import numpy as np

from bentos.flavors.reading.checks.trees import width_of
from bentos.flavors.reading.names import expect

KINDS = {"SVC": "c_svc", "NuSVC": "nu_svc", "OneClassSVM": "one_class"}
KINDS |= {"SVR": "epsilon_svr", "NuSVR": "nu_svr"}


def check_vectors(model: Any) -> None:
    """Refuse support vectors whose arrays do not fit together."""
    held = vars(model)
    if "support_vectors_" not in held:
        return
    name = type(model).__name__
    expect("_impl" not in held, f"an {name} says that it is something else")
    expect(type(held.get("_sparse")) is bool, f"an {name} is neither sparse nor dense")
    classes = len(held["classes_"]) if name in ("SVC", "NuSVC") else 2
    expect(classes >= 2, f"an {name} knows one class")
    count = _count(model, classes)
    _check_points(model, count)
    _check_numbers(held, classes, count)


def _count(model: Any, classes: int) -> int:
    held = vars(model)
    counts = held["_n_support"]
    expect(
        _is(counts, "int32", (classes,)) and np.all(counts >= 0),
        "support vectors are not counted",
    )
    named = held["support_"]
    expect(_is(named, "int32", (len(named),)), "support vectors have no numbers")
    total = int(np.sum(counts, dtype=np.int64)) if "classes_" in held else int(counts[0])
    expect(total == len(named), "support vectors are counted wrongly")
    return total


def _check_points(model: Any, count: int) -> None:
    held = vars(model)
    vectors = held["support_vectors_"]
    if held["kernel"] == "precomputed" or callable(held["kernel"]):
        named, (points, *_) = held["support_"], held["shape_fit_"]
        within = np.all((named >= 0) & (named < points))
        expect(within and type(points) is int, "support vectors are not among the points")
        expect(held["kernel"] != "precomputed" or points == width_of(model), "no such points")
    else:
        expect(vectors.shape == (count, width_of(model)), "support vectors have another shape")
    expect(vectors.dtype == np.float64, "support vectors are no numbers")


def _check_numbers(held: dict[str, Any], classes: int, count: int) -> None:
    pairs = classes * (classes - 1) // 2
    for name in ("dual_coef_", "_dual_coef_"):
        weights = held[name]
        expect(
            weights.dtype == np.float64 and weights.shape == (classes - 1, count),
            "support vectors have not their weights",
        )
        expect(
            not held["_sparse"] or weights.nnz == (classes - 1) * count,
            "support vectors have not their weights",
        )
    for name in ("intercept_", "_intercept_"):
        expect(_is(held[name], "float64", (pairs,)), "support vectors have no intercept")
    for name in ("_probA", "_probB"):
        odds = held.get(name)
        expect(
            isinstance(odds, np.ndarray)
            and odds.dtype == np.float64
            and odds.size in (0, 1, pairs),
            "support vectors have no odds",
        )
        expect(
            "classes_" not in held or odds.size in (0, pairs),  # type: ignore[union-attr]
            "support vectors have no odds",
        )


def _is(array: Any, kind: str, shape: tuple[int, ...]) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == kind and array.shape == shape
