"""The anomaly model as one ONNX graph: the same answers without scikit-learn.

The forests of all clusters are merged tree by tree: the first nodes of each tree ask for the
row's cluster, and lead to that cluster's own tree. Trees compare in float64 what was rounded to
float32, as scikit-learn does; path lengths are summed in float32, so that scores agree to 1e-7.
Operators: https://onnx.ai/onnx/operators/
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from training.contugas.model import FIELDS, Floats, mean_path_length

if TYPE_CHECKING:
    from training.contugas.model import AnomalyModel, ClusterModel

OPSETS = (("", 18), ("ai.onnx.ml", 3))


def to_onnx(model: "AnomalyModel") -> ModelProto:
    """A graph from `rows` (n, 3) float64 to `answers` (n, 2) int64: cluster, prediccion."""
    centers: Floats = model.kmeans.cluster_centers_
    arrays = {
        "mean": model.scaler.mean_,
        "scale": model.scaler.scale_,
        "minus_two_centers": -2.0 * centers.T,
        "norms": (centers**2).sum(axis=1),
        "means": np.stack([cluster.scaler.mean_ for cluster in model.clusters]),
        "scales": np.stack([cluster.scaler.scale_ for cluster in model.clusters]),
        "limits": np.array([[depth_limit(c)] for c in model.clusters], dtype=np.float32),
        "last": np.array([1]),
    }
    graph = helper.make_graph(
        [*_assign(), *_judge(), _forest(model.clusters), *_answer()],
        "contugas",
        [helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, len(FIELDS)])],
        [helper.make_tensor_value_info("answers", TensorProto.INT64, [None, 2])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    checker.check_model(proto)
    return proto


def depth_limit(cluster: "ClusterModel") -> float:
    """The summed path length below which a row is an anomaly.

    `2 ** (-depths / (trees * c)) > -(offset + threshold)`, solved for the depths.
    """
    cut = -(float(cluster.forest.offset_) + cluster.threshold)
    if cut <= 0:
        return float("inf")
    expected = float(mean_path_length(np.array([cluster.forest.max_samples_]))[0])
    return -len(cluster.forest.estimators_) * expected * float(np.log2(cut))


def _assign() -> Iterator[NodeProto]:
    """The nearest center of each row."""
    node = helper.make_node
    yield node("Sub", ["rows", "mean"], ["centered"])
    yield node("Div", ["centered", "scale"], ["scaled"])
    yield node("MatMul", ["scaled", "minus_two_centers"], ["products"])
    yield node("Add", ["products", "norms"], ["distances"])
    yield node("ArgMin", ["distances"], ["cluster"], axis=1, keepdims=1)


def _judge() -> Iterator[NodeProto]:
    """Path lengths by the forest of each row's cluster, and the verdict."""
    node = helper.make_node
    yield node("Squeeze", ["cluster", "last"], ["index"])
    yield node("Gather", ["means", "index"], ["own_mean"])
    yield node("Gather", ["scales", "index"], ["own_scale"])
    yield node("Gather", ["limits", "index"], ["limit"])
    yield node("Sub", ["rows", "own_mean"], ["own_centered"])
    yield node("Div", ["own_centered", "own_scale"], ["own_scaled"])
    yield node("Cast", ["own_scaled"], ["narrow"], to=TensorProto.FLOAT)
    yield node("Cast", ["narrow"], ["wide"], to=TensorProto.DOUBLE)
    yield node("Cast", ["cluster"], ["route"], to=TensorProto.DOUBLE)
    yield node("Concat", ["wide", "route"], ["features"], axis=1)


def _answer() -> Iterator[NodeProto]:
    node = helper.make_node
    yield node("Less", ["depths", "limit"], ["anomalous"])
    yield node("Cast", ["anomalous"], ["verdict"], to=TensorProto.INT64)
    yield node("Concat", ["cluster", "verdict"], ["answers"], axis=1)


class _Trees:
    """The nodes of an ensemble, column by column, as the operator wants them."""

    def __init__(self) -> None:
        self.columns: dict[str, list[NDArray[Any]]] = {}
        self.leaves: dict[str, list[NDArray[Any]]] = {}

    def add(self, clusters: "list[ClusterModel]", number: int) -> None:
        """The `number`th tree of every cluster as one: its first nodes ask for the cluster."""
        asked = len(clusters) - 1
        trees = [cluster.forest.estimators_[number].tree_ for cluster in clusters]
        starts = asked + np.cumsum([0, *(tree.node_count for tree in trees)])
        ids = np.arange(asked)
        self._nodes(
            number,
            ids,
            np.full(asked, len(FIELDS)),
            ids + 0.5,
            starts[:asked],
            np.append(ids[1:], starts[asked]),
            np.zeros(asked, dtype=bool),
        )
        for tree, start, cluster in zip(trees, starts, clusters, strict=False):
            leaf = tree.children_left == -1
            ids = start + np.arange(tree.node_count)
            self._nodes(
                number,
                ids,
                tree.feature,
                tree.threshold,
                tree.children_left + start,
                tree.children_right + start,
                leaf,
            )
            self._leaves(number, ids[leaf], cluster.paths[number][leaf])

    def _nodes(
        self,
        tree: int,
        ids: NDArray[Any],
        feature: NDArray[Any],
        threshold: NDArray[Any],
        left: NDArray[Any],
        right: NDArray[Any],
        leaf: NDArray[Any],
    ) -> None:
        columns = {
            "treeids": np.full(len(ids), tree),
            "nodeids": ids,
            "featureids": np.where(leaf, 0, feature),
            "values": np.where(leaf, 0.0, threshold),
            "truenodeids": np.where(leaf, 0, left),
            "falsenodeids": np.where(leaf, 0, right),
            "modes": np.where(leaf, "LEAF", "BRANCH_LEQ"),
        }
        for name, column in columns.items():
            self.columns.setdefault(name, []).append(column)

    def _leaves(self, tree: int, ids: NDArray[Any], weights: Floats) -> None:
        columns = {
            "treeids": np.full(len(ids), tree),
            "nodeids": ids,
            "ids": np.zeros(len(ids), dtype=np.int64),
            "weights": weights,
        }
        for name, column in columns.items():
            self.leaves.setdefault(name, []).append(column)


def _forest(clusters: "list[ClusterModel]") -> NodeProto:
    """The forests of all clusters as one ensemble of as many trees as one of them has."""
    trees = _Trees()
    for number in range(len(clusters[0].forest.estimators_)):
        trees.add(clusters, number)
    nodes = {name: np.concatenate(parts) for name, parts in trees.columns.items()}
    leaves = {name: np.concatenate(parts) for name, parts in trees.leaves.items()}
    thresholds = numpy_helper.from_array(nodes.pop("values"), "thresholds")
    weights = numpy_helper.from_array(leaves.pop("weights"), "weights")
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["depths"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        nodes_values_as_tensor=thresholds,
        target_weights_as_tensor=weights,
        **{f"nodes_{name}": column.tolist() for name, column in nodes.items()},
        **{f"target_{name}": column.tolist() for name, column in leaves.items()},
    )
