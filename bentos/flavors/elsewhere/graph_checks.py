"""A graph that another process made, looked at before it is opened here.

It may have the operators that our compiler writes, and their order and trees are looked at: ONNX
Runtime follows a tree's indices, and reads a row at its features, without looking.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPERATORS = (
    "Abs Add And ArgMax ArgMin Cast Clip Concat Cos Div Equal Exp Floor Gather Greater "
    "GreaterOrEqual Identity IsNaN Less LessOrEqual Log MatMul Max Min Mul Neg Not Pow "
    "Reciprocal ReduceMax ReduceSum Sin Sqrt Squeeze Sub Tanh Where"
)
OPERATORS = frozenset(_OPERATORS.split())
MEMBER = 6  # the way of a node to ask whether a value is one of a set, which ends with a NaN
TREES = ("ai.onnx.ml", "TreeEnsemble")
ELSEWHERE = 1  # TensorProto.EXTERNAL
OF_LEAVES = {"nodes_truenodeids": "nodes_trueleafs", "nodes_falsenodeids": "nodes_falseleafs"}
OF_TREES = {*OF_LEAVES, *OF_LEAVES.values(), "leaf_targetids", "leaf_weights", "n_targets",
            "nodes_featureids", "nodes_modes", "nodes_splits", "tree_roots"}  # fmt: skip


class Strange(ValueError):
    """A graph that our compiler would not have written."""


def parsed(content: bytes) -> Any:
    """The graph in these bytes. Raises Strange."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto, checker, shape_inference

    try:
        proto = ModelProto.FromString(content)
        _check(proto)
        checker.check_model(proto)
        inferred = shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (DecodeError, checker.ValidationError, shape_inference.InferenceError) as error:
        raise Strange(f"it is no graph: {error}") from error
    widths = dict(_widths(inferred.graph))
    for node in proto.graph.node:
        if (node.domain, node.op_type) == TREES:
            _check_trees(node, widths.get(node.input[0]))
    return proto


def _expect(right: object, complaint: str) -> None:
    if not right:
        raise Strange(complaint)


def _check(proto: Any) -> None:
    """Operators that are known, and no data but what is in it."""
    _expect(not proto.functions and not proto.training_info, "it has functions of its own")
    _expect(not proto.graph.sparse_initializer, "it has sparse constants")
    tensors = list(proto.graph.initializer)
    for node in proto.graph.node:
        known = (node.domain, node.op_type) == TREES or (
            node.domain in ("", "ai.onnx") and node.op_type in OPERATORS
        )
        _expect(known, f"it has the operator {node.domain}.{node.op_type}"[:80])
        for attribute in node.attribute:
            plain = not (attribute.HasField("g") or attribute.graphs or attribute.ref_attr_name)
            _expect(plain, "it has graphs within its nodes")
            tensors += [attribute.t, *attribute.tensors]
    _expect(all(one.data_location != ELSEWHERE for one in tensors), "it has data elsewhere")


def _widths(graph: Any) -> Iterable[tuple[str, int]]:
    """How many columns the tensors of a graph have, as far as it is known."""
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 2 and dims[1].HasField("dim_value"):
            yield value.name, dims[1].dim_value


def _check_trees(node: Any, width: int | None) -> None:
    """Every tree ends at leaves that are there, and asks for columns that are there."""
    _expect(width is not None, "it has trees over rows of unknown width")
    has = {attribute.name: _array(attribute) for attribute in node.attribute}
    _expect(has.keys() >= OF_TREES, "its trees lack something")
    count, leaves = len(has["nodes_featureids"]), len(has["leaf_targetids"])
    _expect(count and leaves and len(has["leaf_weights"]) == leaves, "its trees have no leaves")
    _inside(has["tree_roots"], count)
    _inside(has["nodes_featureids"], int(width or 0))
    _inside(has["leaf_targetids"], int(has["n_targets"][0]))
    for name in ("nodes_splits", "nodes_modes", "nodes_missing_value_tracks_true"):
        _expect(len(has.get(name, has["nodes_featureids"])) == count, "its trees are not whole")
    _expect(np.all(has["nodes_modes"] <= MEMBER), "its trees ask in unknown ways")
    sets = np.isnan(has.get("membership_values", np.empty(0))).sum()
    _expect(sets == np.sum(has["nodes_modes"] == MEMBER), "its trees ask for sets without an end")
    _check_children(has, count, leaves)


def _check_children(has: Mapping[str, NDArray[Any]], count: int, leaves: int) -> None:
    at, named = np.arange(count), [has["tree_roots"]]
    for name, kind in OF_LEAVES.items():
        _expect(len(has[name]) == len(has[kind]) == count, "its trees are not whole")
        ends = has[kind] != 0
        _inside(has[name][ends], leaves)
        _inside(has[name][~ends], count)
        _expect(np.all(has[name][~ends] > at[~ends]), "its trees lead back")
        named.append(has[name][~ends])
    nodes = np.concatenate(named)
    _expect(len(np.unique(nodes)) == len(nodes) == count, "its trees share nodes")


def _inside(indices: NDArray[Any], size: int) -> None:
    _expect(np.all((indices >= 0) & (indices < size)), "its trees lead outside")


def _array(attribute: Any) -> NDArray[Any]:
    from onnx import numpy_helper

    if attribute.HasField("t"):
        return np.atleast_1d(numpy_helper.to_array(attribute.t))
    return np.asarray(attribute.ints or [attribute.i], np.int64)
