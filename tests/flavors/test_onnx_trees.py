"""Trees in ONNX files that lead back, outside, or beyond the row: ONNX Runtime refuses them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import open_model
from bentos.tensors import Batch
from tests.serving.refusals import refused

GOOD: dict[str, Any] = {
    "nodes_featureids": [0, 0, 0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "target_nodeids": [1, 2],
}


def version(folder: Path, **changed: Any) -> MLmodel:
    """A regressor of one tree with two leaves, over rows of two numbers."""
    node = helper.make_node(
        "TreeEnsembleRegressor", ["rows"], ["answer"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0] * 3, nodes_nodeids=[0, 1, 2], nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], target_treeids=[0, 0], target_ids=[0, 0],
        target_weights=[1.0, 2.0], **(GOOD | changed),
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), folder / "model.onnx")
    content = {"flavors": {"onnx": {"data": "model.onnx"}}}
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return MLmodel(folder)


ROWS = Batch({"": np.array([[0.0, 9.0], [1.0, 9.0]], np.float32)})


def test_such_a_tree_answers(tmp_path: Path) -> None:
    (answers,) = open_model(version(tmp_path)).predict(ROWS).values()
    assert answers.ravel().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "changed",
    [
        {"nodes_truenodeids": [0, 0, 0]},
        {"nodes_falsenodeids": [9, 0, 0]},
        {"target_nodeids": [1, 7]},
    ],
    ids=["back", "outside", "a leaf that is not there"],
)
def test_trees_that_lead_elsewhere_are_refused(tmp_path: Path, changed: Any) -> None:
    mlmodel = version(tmp_path, **changed)
    refused("load", "while loading", lambda: open_model(mlmodel))


def test_a_feature_beyond_the_row_is_not_read(tmp_path: Path) -> None:
    opened = open_model(version(tmp_path, nodes_featureids=[500_000, 0, 0]))
    with pytest.raises(Exception, match="TreeEnsemble"):
        opened.predict(ROWS)
