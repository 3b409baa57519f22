"""Checks what scikit-learn's compiled code follows unchecked: trees, and centers of clusters.

skops restores a tree's node indices as they stand in the file, and scikit-learn holds a row
against `n_features_in_` alone: https://skops.readthedocs.io/en/stable/persistence.html
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from bentos.refusal import Refusal

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree


def check_trees(model: object) -> None:
    """Refuse a model that would read outside its memory, or run for ever."""
    for part in _parts(model, set()):
        if _is_tree(part):
            _check_nodes(part)
        elif any(name in vars(part) for name in ("tree_", "estimators_", "cluster_centers_")):
            _check_columns(vars(part))


def _parts(node: Any, seen: set[int]) -> Iterator[Any]:
    """Every tree and every object with attributes that a model holds, however deep."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, dict):
        for value in node.values():
            yield from _parts(value, seen)
    elif isinstance(node, list | tuple) or (isinstance(node, np.ndarray) and node.dtype == object):
        for value in node:
            yield from _parts(value, seen)
    elif _is_tree(node):
        yield node
    elif hasattr(node, "__dict__"):
        yield node
        yield from _parts(vars(node), seen)


def _is_tree(node: object) -> bool:
    from sklearn.tree._tree import Tree

    return isinstance(node, Tree)


def _check_nodes(tree: "Tree") -> None:
    nodes = np.arange(tree.node_count)
    inner = tree.children_left != -1
    for children in (tree.children_left, tree.children_right):
        ahead = (children > nodes) & (children < tree.node_count)
        if not np.all(np.where(inner, ahead, children == -1)):
            raise Refusal("load", "a tree in the skops file points outside itself")
    if not np.all((tree.feature[inner] >= 0) & (tree.feature[inner] < tree.n_features)):
        raise Refusal("load", "a tree in the skops file reads a column that is not there")


def _check_columns(held: dict[str, Any]) -> None:
    """Refuse an estimator whose parts read more columns of a row than it asks a row to have."""
    asked = held.get("n_features_in_", 0)
    if any(tree.n_features > asked for tree in filter(_is_tree, _parts(held, set()))):
        raise Refusal("load", f"a tree in the skops file reads more than its {asked} columns")
    for features, member in zip(
        held.get("estimators_features_", ()), held.get("estimators_", ()), strict=False
    ):
        if len(features) < member.tree_.n_features:
            raise Refusal("load", "a tree in the skops file reads more columns than it is given")
    centers = held.get("cluster_centers_")
    if centers is not None and (centers.ndim, centers.shape[-1]) != (2, asked):
        raise Refusal("load", f"the centers in the skops file have not {asked} columns")
