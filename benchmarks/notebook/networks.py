"""Models of torch, Keras and ONNX."""

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import mlflow.keras
import mlflow.onnx
import mlflow.pytorch
import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from torch import nn

from benchmarks.notebook.kind import Kind, Rows, of_array
from benchmarks.notebook.rows import BOUGHT, PRICE

TARGET = torch.tensor(PRICE.to_numpy(np.float32))[:, None]
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


class Own(nn.Module):
    """A module of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 1)

    def forward(self, rows: Any) -> Any:
        """One number a row."""
        return self.last(torch.relu(self.first(rows / 100)))


def _trained(model: Any, given: Rows) -> Any:
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(30):
        loss = nn.functional.mse_loss(model(torch.from_numpy(given)), TARGET)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def _sequential(given: Rows) -> Any:
    torch.manual_seed(0)
    return _trained(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)), given)


def _own(given: Rows) -> Any:
    torch.manual_seed(0)
    return _trained(Own(), given)


def _ask_torch(model: Any, given: Rows) -> Any:
    with torch.inference_mode():
        return model(torch.from_numpy(given)).numpy()


def _keras_network(given: Rows) -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((3,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    model.fit(given, PRICE.to_numpy(np.float32), epochs=2, verbose=0)
    return model


def _ask_keras(model: Any, given: Rows) -> Any:
    return model.predict(given, verbose=0)


def _graph(nodes: list[Any], outputs: list[Any], constants: list[Any]) -> Any:
    rows = helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 3])
    made = helper.make_graph(nodes, "model", [rows], outputs, constants)
    return helper.make_model(made, opset_imports=OPSETS, ir_version=8)


def _onnx_network(given: Rows) -> Any:
    weights = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    node = helper.make_node("MatMul", ["X", "weights"], ["scores"])
    out = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])
    return _graph([node], [out], [numpy_helper.from_array(weights, "weights")])


def _onnx_classifier(given: Rows) -> Any:
    """A logistic regression in the form in which skl2onnx writes it."""
    model = LogisticRegression(max_iter=500).fit(given / 100, BOUGHT)
    weights = np.concatenate([-model.coef_, model.coef_]) / 100
    both = np.concatenate([-model.intercept_, model.intercept_])
    nodes = [
        helper.make_node(
            "LinearClassifier", ["X"], ["output_label", "raw"], domain="ai.onnx.ml",
            coefficients=weights.ravel().tolist(), intercepts=both.tolist(),
            classlabels_ints=[0, 1], multi_class=0, post_transform="LOGISTIC",
        ),
        helper.make_node("Normalizer", ["raw"], ["shares"], domain="ai.onnx.ml", norm="L1"),
        helper.make_node("ZipMap", ["shares"], ["output_probability"], domain="ai.onnx.ml",
                         classlabels_int64s=[0, 1]),
    ]  # fmt: skip
    label = helper.make_tensor_value_info("output_label", TensorProto.INT64, [None])
    share = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    shares = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, share))
    return _graph(nodes, [label, helper.make_value_info("output_probability", shares)], [])


def _ask_onnx(model: Any, given: Rows) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"X": given})[0]


def kinds() -> list[Kind]:
    """All of them."""
    narrow = np.float32
    torch_, keras_, onnx_ = mlflow.pytorch, mlflow.keras, mlflow.onnx
    return [
        of_array("torch Sequential", torch_, _sequential, narrow, ask=_ask_torch),
        of_array("torch module", torch_, _own, narrow, ask=_ask_torch),
        of_array("Keras", keras_, _keras_network, narrow, ask=_ask_keras),
        of_array("ONNX", onnx_, _onnx_network, narrow, ask=_ask_onnx),
        of_array("ONNX of a classifier", onnx_, _onnx_classifier, narrow, ask=_ask_onnx),
    ]
