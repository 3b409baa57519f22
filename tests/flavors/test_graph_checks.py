"""What a graph that another process made may not have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestRegressor

from bentos.flavors.elsewhere.graph_checks import Strange, parsed
from bentos.flavors.graphs import compile_model
from bentos.tensors import Column, Schema

X = np.random.default_rng(0).random((40, 2))
FOREST = RandomForestRegressor(n_estimators=2, max_depth=2, random_state=0).fit(X, X[:, 0])
GRAPH = compile_model(FOREST, Schema((Column("", "float64", (2,)),)), "predict").proto


def trees(proto: Any) -> Any:
    return next(node for node in proto.graph.node if node.op_type == "TreeEnsemble")


def attribute(proto: Any, name: str) -> Any:
    return next(one for one in trees(proto).attribute if one.name == name)


def ints(name: str, at: int, value: int) -> Callable[[Any], None]:
    """One number of an attribute of the trees is another."""

    def change(proto: Any) -> None:
        attribute(proto, name).ints[at] = value

    return change


def tensor(name: str, array: Any) -> Callable[[Any], None]:
    """A tensor of the trees is another."""
    return lambda proto: attribute(proto, name).t.CopyFrom(numpy_helper.from_array(array, name))


def without(name: str) -> Callable[[Any], None]:
    return lambda proto: trees(proto).attribute.remove(attribute(proto, name))


def a_function(proto: Any) -> None:
    proto.functions.append(helper.make_function("own", "F", [], [], [], []))


def data_elsewhere(proto: Any) -> None:
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL


def trees_elsewhere(proto: Any) -> None:
    attribute(proto, "leaf_weights").t.data_location = TensorProto.EXTERNAL


def node(kind: str, domain: str = "", **more: Any) -> Callable[[Any], None]:
    made = helper.make_node(kind, ["rows"], ["strange"], domain=domain, **more)
    return lambda proto: proto.graph.node.append(made)


def wide_rows(proto: Any) -> None:
    proto.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_value")


def shared(proto: Any) -> None:
    """A node has two parents, as of a tree that is 2^n long."""
    inner = attribute(proto, "nodes_truenodeids").ints
    leaf = attribute(proto, "nodes_trueleafs").ints
    other, other_leaf = (
        attribute(proto, f"nodes_false{name}").ints for name in ("nodeids", "leafs")
    )
    at = next(at for at, end in enumerate(leaf) if not end and not other_leaf[at])
    other[at] = inner[at]


STRANGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "a function": (a_function, "functions of its own"),
    "data elsewhere": (data_elsewhere, "data elsewhere"),
    "trees' data elsewhere": (trees_elsewhere, "data elsewhere"),
    "a loop": (node("Loop", body=helper.make_graph([], "b", [], [])), "operator .Loop"),
    "a graph within": (node("Abs", body=helper.make_graph([], "b", [], [])), "graphs within"),
    "an operator of others": (node("Abs", "evil"), "operator evil.Abs"),
    "other trees": (node("TreeEnsembleRegressor", "ai.onnx.ml"), "TreeEnsembleRegressor"),
    "rows of any width": (wide_rows, "rows of unknown width"),
    "a feature beyond": (ints("nodes_featureids", 0, 2), "lead outside"),
    "a feature before": (ints("nodes_featureids", 0, -1), "lead outside"),
    "a child beyond": (ints("nodes_truenodeids", 0, 10**6), "lead outside"),
    "a child above": (ints("nodes_truenodeids", 0, 0), "lead back"),
    "a root beyond": (ints("tree_roots", 1, 10**6), "lead outside"),
    "two parents": (shared, "share nodes"),
    "a target beyond": (ints("leaf_targetids", 0, 7), "lead outside"),
    "no leaves": (tensor("leaf_weights", np.zeros(0)), "no graph"),
    "few thresholds": (tensor("nodes_splits", np.zeros(1)), "no graph"),
    "no thresholds": (without("nodes_splits"), "no graph"),
    "sets without an end": (
        tensor("nodes_modes", np.full(6, 6, np.uint8)), "sets without an end",
    ),
    "a way to ask that is none": (
        tensor("nodes_modes", np.full(6, 99, np.uint8)), "unknown ways",
    ),
}  # fmt: skip


def test_what_our_compiler_writes_is_taken() -> None:
    assert parsed(GRAPH.SerializeToString()) == GRAPH


@pytest.mark.parametrize("what", STRANGE)
def test_what_it_would_not_write_is_refused(what: str) -> None:
    change, said = STRANGE[what]
    proto = ModelProto.FromString(GRAPH.SerializeToString())
    change(proto)
    with pytest.raises(Strange, match=said):
        parsed(proto.SerializeToString())


@pytest.mark.parametrize("content", [b"junk", b"", b"\xff" * 99])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(Strange, match="no graph"):
        parsed(content)
