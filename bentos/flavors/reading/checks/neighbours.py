"""Trees of neighbours, and what holds them."""

from typing import Any

import numpy as np

from bentos.flavors.reading.checks.trees import width_of
from bentos.flavors.reading.names import expect


def check_ball(kind: str, state: Any) -> None:
    """Refuse the state of a KDTree or BallTree that leaves its arrays."""
    expect(type(state) is tuple and len(state) == 13, f"a {kind} has no state")
    data, order, nodes, bounds, _, _, n_nodes = state[:7]
    metric, weights = state[11], state[12]
    expect(all(isinstance(one, np.ndarray) for one in state[:4]), f"a {kind} has no arrays")
    precision = np.float32 if kind.endswith("32") else np.float64
    expect(data.ndim == 2 and data.size > 0 and data.dtype == precision, f"a {kind} has no points")
    count, width = data.shape
    expect(
        order.shape == (count,)
        and order.dtype == np.intp
        and np.all((order >= 0) & (order < count)),
        f"a {kind} names points that are not there",
    )
    _check_sizes(kind, *state[4:11])
    _check_levels(kind, nodes, n_nodes, count)
    sides = 2 if kind.startswith("KD") else 1
    expect(
        bounds.shape == (sides, n_nodes, width) and bounds.dtype == precision,
        f"a {kind} has other bounds than nodes",
    )
    expect(
        weights is None or (isinstance(weights, np.ndarray) and weights.shape == (count,)),
        f"a {kind} has other weights than points",
    )
    check_distance_for(metric, width)


def _check_sizes(kind: str, leaf_size: Any, n_levels: Any, n_nodes: Any, *counts: Any) -> None:
    whole = (leaf_size, n_levels, n_nodes, *counts)
    expect(all(type(number) is int for number in whole), f"a {kind} has no size")
    expect(
        leaf_size > 0 and 0 < n_levels < 60 and n_nodes == 2**n_levels - 1 and min(counts) >= 0,
        f"a {kind} has another size than its levels",
    )


def _check_levels(kind: str, nodes: Any, n_nodes: int, count: int) -> None:
    expect(
        nodes.shape == (n_nodes,)
        and nodes.dtype.names == ("idx_start", "idx_end", "is_leaf", "radius"),
        f"a {kind} has not its nodes",
    )
    start, end = nodes["idx_start"], nodes["idx_end"]
    expect(
        np.all((start >= 0) & (start <= end) & (end <= count)),
        f"a node of a {kind} has points that are not there",
    )
    # A node's children stand at 2n+1 and 2n+2.
    last = nodes["is_leaf"][n_nodes // 2 :]
    expect(np.all(last != 0), f"a node of a {kind} has children beyond its last level")


def check_made_ball(tree: Any) -> None:
    """Look at a tree of neighbours that was made already."""
    check_ball(type(tree).__name__, tree.__getstate__())


def check_distance(state: Any) -> None:
    """Refuse a distance without its numbers."""
    expect(type(state) is tuple and len(state) == 3, "a distance has no state")
    power, vector, matrix = state
    expect(
        type(power) is float
        and isinstance(vector, np.ndarray)
        and vector.ndim == 1
        and isinstance(matrix, np.ndarray)
        and matrix.ndim == 2
        and matrix.shape[0] == matrix.shape[1],
        "a distance has not its numbers",
    )


def check_distance_for(metric: Any, width: int) -> None:
    """Refuse a distance that needs more numbers for a point than a point has."""
    from sklearn.metrics import DistanceMetric

    expect(isinstance(metric, DistanceMetric), "a distance is of another kind")
    state = metric.__getstate__()
    check_distance(state)
    _, vector, matrix = state
    name = type(metric).__name__.rstrip("0123456789").removesuffix("Distance")
    right = {
        "SEuclidean": vector.shape == (width,),
        "Mahalanobis": matrix.shape == (width, width),
        "Minkowski": len(vector) in (0, width),
        "Haversine": width == 2,
        "PyFunc": False,
    }
    expect(right.get(name, True), f"a {name} distance is between points of another width")


def check_neighbours(model: Any) -> None:
    """Look at what answers with the nearest of its points."""
    held = vars(model)
    points = held.get("_fit_X")
    if points is None:
        return
    count = held.get("n_samples_fit_")
    width = width_of(model)
    expect(points.shape == (count, width), "neighbours have other points than they say")
    tree = held.get("_tree")
    if tree is not None:
        expect(
            np.asarray(tree.data).shape == points.shape, "neighbours have another tree than points"
        )
    expect(
        tree is not None or held.get("_fit_method") not in ("kd_tree", "ball_tree"),
        "neighbours have no tree",
    )
    labels = held.get("_y")
    if labels is not None:
        _check_labels(held, np.asarray(labels), int(count))


def _check_labels(held: dict[str, Any], labels: Any, count: int) -> None:
    """Classes are counted by their number, in memory that has room for those that are known."""
    expect(labels.ndim in (1, 2) and len(labels) == count, "neighbours have no answers")
    if "classes_" not in held:
        return
    columns = labels.reshape(count, -1)
    classes = held["classes_"] if type(held["classes_"]) is list else [held["classes_"]]
    expect(
        len(classes) == columns.shape[1] and labels.dtype.kind in "iu",
        "neighbours have other classes than answers",
    )
    for column, known in zip(columns.T, classes, strict=True):
        expect(
            np.all((column >= 0) & (column < len(known))),
            "neighbours answer with a class that is not there",
        )


def check_density(model: Any) -> None:
    """A density asks its tree for points of as many columns as it says."""
    if "tree_" in vars(model):
        width = np.asarray(model.tree_.data).shape[1]
        expect(width == width_of(model), "a density has other columns than its tree")
