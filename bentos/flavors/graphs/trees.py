"""Ensembles of trees as nodes of a graph, routed as the library itself routes rows.

`ai.onnx.ml` 5's TreeEnsemble computes in the dtype of its input, float64 too. A leaf has one
number for one target there; where a leaf has several, each tree gives the index of its leaf, and
the leaves' numbers are looked up. ONNX Runtime adds a row's trees in their order, as the libraries
do: sums are equal to the last bit.
Format: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bentos.flavors.graphs.builder import ML, Builder
from bentos.flavors.graphs.columns import Frame

LEQ, LT, MEMBER = 0, 1, 6  # ways of a node to ask
SUM = 1
MOST_LEAVES = 2**24  # indices that float32 holds exactly


@dataclass(frozen=True)
class Tree:
    """The nodes of one tree, column by column; the first is the root.

    A row goes to `yes` where the answer to a node's question is yes, and, where its value is
    missing, if `missing` says so. A leaf has `value` (nodes, numbers).
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    yes: NDArray[np.int64]
    no: NDArray[np.int64]
    leaf: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    value: NDArray[np.float64]
    mode: NDArray[np.uint8]
    members: tuple[tuple[int, NDArray[np.float64]], ...] = ()  # a node, and the values it asks for


def constant(values: Sequence[float]) -> list[Tree]:
    """Trees of one leaf, which give one number each."""
    return [_stump(float(value)) for value in values]


def _stump(value: float) -> Tree:
    """One question with the same answer both ways: an ensemble has no tree without one."""
    inner = np.array([False, True])
    return Tree(
        feature=np.zeros(2, np.int64),
        threshold=np.zeros(2),
        yes=np.array([1, 1]),
        no=np.array([1, 1]),
        leaf=inner,
        missing=np.zeros(2, bool),
        value=np.array([[0.0], [value]]),
        mode=np.full(2, LEQ, np.uint8),
    )


def summed(
    b: Builder, rows: str, trees: Sequence[Tree], targets: Sequence[int], width: int
) -> str:
    """The sum of each target's trees (rows, width), in the dtype of `rows`, from the first on."""
    trees = [tree if len(tree.leaf) > 1 else _stump(float(tree.value[0, 0])) for tree in trees]
    dtype = b.types[rows]
    attributes = _attributes(trees, targets, dtype)
    return b.node(
        "TreeEnsemble",
        rows,
        dtype=dtype,
        domain=ML,
        n_targets=width,
        aggregate_function=SUM,
        post_transform=0,
        **attributes,
    )


def leaves(b: Builder, rows: str, trees: Sequence[Tree]) -> str:
    """The numbers of each tree's leaf (rows, trees, numbers), float64. `rows` are float32."""
    numbered = [_numbered(tree) for tree in trees]
    counts = [int(tree.leaf.sum()) for tree in trees]
    if max(counts) > MOST_LEAVES:
        raise ValueError("a tree has more leaves than float32 can number")
    index = b.cast(summed(b, rows, numbered, range(len(trees)), len(trees)), np.int64)
    starts = np.cumsum([0, *counts[:-1]])
    index = b.math("Add", index, starts[None])
    table = np.concatenate([tree.value[tree.leaf] for tree in trees])
    b.row_bytes = max(b.row_bytes, 8 * len(trees) * table.shape[1])
    return b.node("Gather", b.constant(table), index, dtype=np.float64, axis=0)


def _numbered(tree: Tree) -> Tree:
    """The same tree, whose leaves are numbered instead."""
    value = np.zeros(len(tree.leaf))
    value[tree.leaf] = np.arange(tree.leaf.sum())
    return replace(tree, value=value[:, None])


def _attributes(trees: Sequence[Tree], targets: Sequence[int], dtype: DTypeLike) -> dict[str, Any]:
    """The attributes of the operator: inner nodes and leaves are counted apart."""
    nodes = np.cumsum([0, *(np.sum(~tree.leaf) for tree in trees)])
    ends = np.cumsum([0, *(tree.leaf.sum() for tree in trees)])
    columns: dict[str, list[NDArray[Any]]] = {}
    for tree, node, end in zip(trees, nodes, ends, strict=False):
        for name, part in _columns(tree, node, end).items():
            columns.setdefault(name, []).append(part)
    made = {name: np.concatenate(parts) for name, parts in columns.items()}
    kinds = {"nodes_splits": dtype, "leaf_weights": dtype, "nodes_modes": np.uint8}
    made = {name: array.astype(kinds.get(name, np.int64)) for name, array in made.items()}
    made["tree_roots"] = nodes[:-1].astype(np.int64)
    sizes = np.diff(ends)
    made["leaf_targetids"] = np.repeat(np.asarray(targets, dtype=np.int64), sizes)
    if not made["nodes_missing_value_tracks_true"].any():
        del made["nodes_missing_value_tracks_true"]
    members = [values for tree in trees for _, values in tree.members]
    if members:
        apart = [part for values in members for part in (values, [np.nan])]
        made["membership_values"] = np.concatenate(apart).astype(dtype)
    return made


def _columns(tree: Tree, nodes: int, leaves: int) -> dict[str, NDArray[Any]]:
    """The columns of one tree, which stands behind so many inner nodes and leaves of others."""
    inner = ~tree.leaf
    place = np.where(tree.leaf, np.cumsum(tree.leaf) - 1 + leaves, np.cumsum(inner) - 1 + nodes)
    return {
        "nodes_featureids": tree.feature[inner],
        "nodes_splits": tree.threshold[inner],
        "nodes_modes": tree.mode[inner],
        "nodes_truenodeids": place[tree.yes[inner]],
        "nodes_falsenodeids": place[tree.no[inner]],
        "nodes_trueleafs": tree.leaf[tree.yes[inner]],
        "nodes_falseleafs": tree.leaf[tree.no[inner]],
        "nodes_missing_value_tracks_true": tree.missing[inner],
        "leaf_weights": tree.value[tree.leaf, 0],
    }


def float32_below(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest float32 that is no larger: `x <= t` is then the same for every float32 x."""
    with np.errstate(over="ignore"):
        near = thresholds.astype(np.float32)
    above = near > thresholds
    return np.where(above, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float64)


def note(b: Builder, frame: Frame, trees: Sequence[Tree], narrow: bool) -> None:
    """Remember the thresholds by column; where rows are cast to float32, also where they flip.

    Features beyond the frame are its columns once more.
    """
    inner = [~tree.leaf & (tree.mode != MEMBER) for tree in trees]
    feature = np.concatenate([t.feature[mask] for t, mask in zip(trees, inner, strict=True)])
    threshold = np.concatenate([t.threshold[mask] for t, mask in zip(trees, inner, strict=True)])
    for at in np.unique(feature):
        values = np.unique(threshold[feature == at])
        if narrow:
            low = float32_below(values).astype(np.float32)
            high = np.nextafter(low, np.float32(np.inf))
            flips = (low.astype(np.float64) + high.astype(np.float64)) / 2
            values = np.concatenate([values, flips])
        b.note(frame[int(at) % len(frame)], values)
