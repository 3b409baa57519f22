"""The anomaly model of contugas: the nearest center, and the verdict of its cluster's forest.

The forests of all clusters are merged tree by tree: the first nodes of each tree ask for the
row's cluster, and lead to that cluster's own tree. So each row walks through one forest.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Answer, Frame
from bentos.flavors.graphs.forests import falling, read
from bentos.flavors.graphs.registry import estimator, no_method
from bentos.flavors.graphs.trees import LEQ, Tree, note, summed

if TYPE_CHECKING:
    from training.contugas.model import AnomalyModel, ClusterModel


@estimator("training.AnomalyModel")
def anomalies(b: Builder, model: "AnomalyModel", frame: Frame, method: str) -> Answer:
    """Cluster and verdict of each row (rows, 2)."""
    if method != "predict":
        raise no_method(model, method)
    b.refuse_missing(frame)
    rows = b.matrix(frame, np.float64)
    cluster = _nearest(b, model, rows)
    features = _features(b, model, rows, cluster)
    forests = [cluster.forest.estimators_ for cluster in model.clusters]
    trees = [_merged(model, number) for number in range(len(forests[0]))]
    _note(b, model, frame)
    depths = summed(b, features, trees, [0] * len(trees), 1)
    limits = b.constant(np.array([[depth_limit(c)] for c in model.clusters]))
    limit = b.node("Gather", limits, _flat(b, cluster), dtype=np.float64, axis=0)
    verdict = b.cast(b.node("LessOrEqual", depths, limit, dtype=np.bool_), np.int64)
    return Answer(b.concat([cluster, verdict]), 2)


def _nearest(b: Builder, model: "AnomalyModel", rows: str) -> str:
    """The nearest center of each row (rows, 1)."""
    centers = model.kmeans.cluster_centers_
    scaled = b.math("Div", b.math("Sub", rows, model.scaler.mean_), model.scaler.scale_)
    products = b.math("MatMul", scaled, -2.0 * centers.T)
    distances = b.math("Add", products, (centers**2).sum(axis=1))
    return b.node("ArgMin", distances, dtype=np.int64, axis=1, keepdims=1)


def _features(b: Builder, model: "AnomalyModel", rows: str, cluster: str) -> str:
    """The row by its cluster's scaler, as its trees read it, and the cluster's number."""
    index = _flat(b, cluster)
    means, scales = (
        np.stack([getattr(c.scaler, name) for c in model.clusters]) for name in ("mean_", "scale_")
    )
    mean, scale = (
        b.node("Gather", b.constant(table), index, dtype=np.float64, axis=0)
        for table in (means, scales)
    )
    scaled = b.math("Div", b.math("Sub", rows, mean), scale)
    narrow = b.cast(b.cast(scaled, np.float32), np.float64)
    return b.concat([narrow, b.cast(cluster, np.float64)])


def _flat(b: Builder, cluster: str) -> str:
    return b.node("Squeeze", cluster, b.constant(np.array([1])), dtype=np.int64)


def _merged(model: "AnomalyModel", number: int) -> Tree:
    """The `number`th tree of every cluster as one: its first nodes ask for the cluster."""
    own = [_tree(cluster, number) for cluster in model.clusters]
    asked = len(own) - 1
    starts = asked + np.cumsum([0, *(len(tree.leaf) for tree in own)])
    ids = np.arange(asked)
    first = Tree(
        feature=np.full(asked, model.kmeans.cluster_centers_.shape[1]),
        threshold=np.arange(asked, dtype=np.float64) + 0.5,
        yes=starts[:asked],
        no=np.append(ids[1:], starts[asked])[:asked],
        leaf=np.zeros(asked, bool),
        missing=np.zeros(asked, bool),
        value=np.zeros((asked, 1)),
        mode=np.full(asked, LEQ, np.uint8),
    )
    return _joined([first, *own], [0, *starts[: len(own)]])


def _tree(cluster: "ClusterModel", number: int) -> Tree:
    tree = read(cluster.forest.estimators_[number].tree_)
    return replace(tree, value=cluster.paths[number][:, None])


def _joined(parts: Sequence[Tree], starts: Sequence[int]) -> Tree:
    """The nodes of parts one after the other; those of each but the first count from its start."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("feature", "threshold", "leaf", "missing", "value", "mode")
    }
    for name in ("yes", "no"):
        ways = zip(parts, starts, strict=True)
        columns[name] = np.concatenate([getattr(part, name) + start for part, start in ways])
    return Tree(**columns)


def _note(b: Builder, model: "AnomalyModel", frame: Frame) -> None:
    """Where the clusters' trees turn, in the columns' own units."""
    for cluster in model.clusters:
        scaler = cluster.scaler
        steps = zip(scaler.mean_, scaler.scale_, strict=True)
        scaled = tuple(
            replace(column, steps=(("Add", -float(mean)), ("Mul", 1 / float(scale))))
            for column, (mean, scale) in zip(frame, steps, strict=True)
        )
        note(b, scaled, [read(member.tree_) for member in cluster.forest.estimators_], narrow=True)


def depth_limit(cluster: "ClusterModel") -> float:
    """The largest summed path length at which a row is an anomaly of a cluster."""
    from training.contugas.model import mean_path_length

    forest = cluster.forest
    expected = mean_path_length(np.array([forest.max_samples_]))

    def anomalous(depth: float) -> bool:
        score = -(2.0 ** (-np.array([depth]) / (len(cluster.paths) * expected)))
        return bool((score - float(forest.offset_) < cluster.threshold)[0])

    return falling(anomalous, 1024.0 * len(cluster.paths) * float(expected[0]))
