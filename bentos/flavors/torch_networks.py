"""Keras' and torch's models, and our forecasters, as networks that torch runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.networks import Network, Tensor
from bentos.process import keras_on_torch, one_thread
from bentos.refusal import Refusal


def network_of(model: Any) -> Network | None:
    """A model of one of these kinds as a network; None for any other."""
    module = type(model).__module__
    if module.startswith("keras."):
        return of_keras(model)
    if module.startswith("torch.export."):
        return of_program(model)
    return of_forecaster(model) if module.startswith("training.itransformer.") else None


def of_keras(model: Any) -> Network:
    """A Keras model, on torch."""
    keras = keras_on_torch()
    torch = __import__("torch")

    def side(tensors: Any) -> list[Tensor]:
        several = tensors if isinstance(tensors, list | tuple) else [tensors]
        return [
            (
                str(tensor.name).partition(":")[0],
                str(keras.backend.standardize_dtype(tensor.dtype)),  # type: ignore[misc]
                tuple(-1 if size is None else int(size) for size in tensor.shape),
            )
            for tensor in several
        ]

    inputs, outputs = side(model.inputs), side(model.outputs)
    names = [name for name, _, _ in inputs]

    def run(feeds: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        rows = [np.ascontiguousarray(feeds[name]) for name in names]
        with torch.inference_mode():
            given = model(rows[0] if len(rows) == 1 else rows, training=False)
            many = given.values() if isinstance(given, dict) else given
            several = list(many) if isinstance(given, dict | list | tuple) else [given]
            return [one.numpy(force=True) for one in several]

    return Network(model, inputs, outputs, run)


def of_program(program: Any) -> Network:
    """A program of `torch.export`."""
    import torch

    module = program.module(check_guards=False)
    names = list(program.graph_signature.user_inputs)
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    inputs: list[Tensor] = []
    for name in names:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise Refusal("schema", f"the program's input {name} is no tensor")
        shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
        inputs.append((str(name), str(value.dtype).removeprefix("torch."), shape))  # type: ignore[arg-type]
    outputs: list[Tensor] = [
        (str(name), "float32", ()) for name in program.graph_signature.user_outputs
    ]

    def run(feeds: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        one_thread()
        rows = [torch.from_numpy(np.require(feeds[n], requirements=["C", "W"])) for n in names]
        with torch.inference_mode():
            given = module(*rows)
        several = given if isinstance(given, list | tuple) else [given]
        return [one.numpy() for one in several]

    return Network(program, inputs, outputs, run)


def of_forecaster(forecaster: Any) -> Network:
    """A forecaster of windows (rows, seq_len, columns + marks)."""
    from training.itransformer.model import MARKS

    shape, width = forecaster.config.architecture, len(forecaster.config.columns)
    windows: Tensor = ("", "float64", (-1, shape.seq_len, width + MARKS))
    forecasts: Tensor = ("", "float64", (-1, shape.pred_len, width))

    def run(feeds: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        one_thread()
        return [forecaster.predict(feeds[""])]

    return Network(forecaster, [windows], [forecasts], run)
