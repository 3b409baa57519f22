"""Trees, and what holds them: scikit-learn follows their nodes without looking."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.reading.names import expect

LEAF = -1


def check_nodes(nodes: NDArray[Any], n_features: int, max_depth: int) -> None:
    """Refuse nodes that are no tree, or ask for a column that is not there."""
    expect(len(nodes) > 0, "a tree has no nodes")
    left, right = nodes["left_child"], nodes["right_child"]
    inner = left != LEAF
    expect(np.all((right != LEAF) == inner), "a node of a tree has one child")
    feature = nodes["feature"][inner]
    expect(
        np.all((feature >= 0) & (feature < n_features)),
        f"a tree asks for a column beyond its {n_features}",
    )
    depth = depth_of(left[inner], right[inner], np.flatnonzero(inner), len(nodes))
    expect(depth <= max_depth, f"a tree of {depth} levels says that it has {max_depth}")


def depth_of(left: NDArray[Any], right: NDArray[Any], parents: NDArray[Any], count: int) -> int:
    """How many steps a row takes at most. Every node but the first has one parent, before it."""
    children = np.concatenate([left, right]).astype(np.int64)
    before = np.concatenate([parents, parents])
    expect(
        np.all(children > before) and np.all(children < count),
        "a node of a tree has a child that is not behind it in the tree",
    )
    expect(len(np.unique(children)) == len(children) == count - 1, "a node has not one parent")
    parent = np.zeros(count, dtype=np.int64)
    parent[children] = before
    return _levels(parent)


def _levels(parent: NDArray[np.int64]) -> int:
    """The longest way from a node to the first: all take a step at once until none can."""
    at, steps = np.arange(len(parent)), 0
    while (at := np.unique(parent[at[at > 0]])).size:
        steps += 1
    return steps


def check_tree(tree: Any) -> None:
    """Look at a tree that was made already."""
    expect(tree.node_count > 0 and tree.n_outputs > 0, "a tree has no nodes")
    expect(np.all(np.asarray(tree.n_classes) > 0), "a tree answers nothing")
    nodes = tree.__getstate__()["nodes"]
    check_nodes(nodes, tree.n_features, tree.max_depth)


def tree_of(estimator: Any) -> Any:
    """The tree of one estimator."""
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    expect(isinstance(estimator, BaseDecisionTree), "what should be a tree is none")
    tree = vars(estimator).get("tree_")
    expect(type(tree) is Tree, "an estimator has no tree")
    return tree


def width_of(model: Any) -> int:
    """The columns that an estimator asks a row to have."""
    width: Any = vars(model).get("n_features_in_")
    expect(
        isinstance(width, int | np.integer) and not isinstance(width, bool) and width > 0,
        f"a {type(model).__name__} does not say how many columns it takes",
    )
    return int(width)


def check_member(estimator: Any) -> None:
    """A tree asks for no column that its estimator does not ask a row to have."""
    if "tree_" in vars(estimator):
        tree = tree_of(estimator)
        expect(
            tree.n_features == width_of(estimator), "a tree has other columns than its estimator"
        )


def check_forest(forest: Any) -> None:
    """A forest asks each of its trees without looking at a row again."""
    if "estimators_" not in vars(forest):
        return
    members, width = forest.estimators_, width_of(forest)
    expect(type(members) is list and len(members) > 0, "a forest has no trees")
    for member in members:
        expect(tree_of(member).n_features == width, "a tree has other columns than its forest")


def check_isolation(forest: Any) -> None:
    """An isolation forest gives its trees columns of a row, or all of them, as it says."""
    if "estimators_" not in vars(forest):
        return
    width = width_of(forest)
    given = forest.estimators_features_
    expect(
        type(forest.estimators_) is list and len(given) == len(forest.estimators_) > 0,
        "an isolation forest has not columns for each tree",
    )
    for member, columns in zip(forest.estimators_, given, strict=True):
        columns = np.asarray(columns)
        within = columns.ndim == 1 and columns.dtype.kind in "iu"
        expect(
            within and np.all((columns >= 0) & (columns < width)),
            "an isolation forest gives a tree columns that are not there",
        )
        expect(
            tree_of(member).n_features == len(columns) <= width,
            "a tree has other columns than its isolation forest gives it",
        )


def check_gradient_boosting(model: Any) -> None:
    """Gradient boosting adds each tree's value to an answer of `init_`, without looking."""
    if "estimators_" not in vars(model):
        return
    members, width = model.estimators_, width_of(model)
    known = vars(model).get("n_trees_per_iteration_")
    expect(
        isinstance(members, np.ndarray)
        and members.dtype == object
        and members.ndim == 2
        and members.size > 0
        and members.shape[1] == (model._loss.K if known is None else known),  # before 1.4
        "gradient boosting has no trees",
    )
    for member in members.flat:
        tree = tree_of(member)
        expect(
            tree.n_features == width and tree.value.shape[1:] == (1, 1),
            "a tree of gradient boosting has other columns, or answers more than one number",
        )
        expect(width_of(member) == width, "a tree has other columns")
    start = model._raw_predict_init(np.zeros((1, width), dtype=np.float32))
    expect(
        start.shape == (1, members.shape[1]) and start.dtype == np.float64,
        "gradient boosting starts from another number of answers than it has trees for",
    )
