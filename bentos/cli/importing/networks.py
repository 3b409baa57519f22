"""Networks of Keras and graphs of ONNX that take one row of numbers."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.cli.errors import Failed
from bentos.cli.importing.brought import Brought, Tried, chosen, rows_of
from bentos.cli.importing.items import Item
from bentos.cli.importing.served import served
from training.data import Dataset
from training.errors import InputError
from training.manifest import Samples

CLOSE = 1e-4  # relative: float32, summed in other orders for one row and for many
Ask = Callable[[NDArray[np.float32]], NDArray[Any]]


def found(item: Item, columns: Sequence[str]) -> Brought:
    """A network as a model. Raises Failed."""
    width, ask = _keras(item) if item.kind == "keras" else _onnx(item)

    def sample(dataset: Dataset) -> Tried:
        rows = rows_of(dataset, columns, width)
        try:
            X = rows.to_numpy(np.float32)
        except ValueError as error:
            raise InputError(f"{dataset.source}: the network takes numbers: {error}") from error
        answers = ask(X)
        at = chosen(answers)
        atol = CLOSE * float(np.abs(answers).max()) if answers.dtype.kind == "f" else 0.0
        return Tried(len(rows), Samples(X[at], answers[at], CLOSE, atol))

    library = "keras" if item.kind == "keras" else "onnxruntime"
    return Brought(f"{item.kind} network", sample, _saver(item), served, (library, "numpy"))


def _keras(item: Item) -> tuple[int, Ask]:
    from bentos.flavors.keras_file import answer

    model = item.content
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    return _width(item, shapes, len(model.outputs)), lambda rows: answer(model, rows)


def _onnx(item: Item) -> tuple[int, Ask]:
    session = item.content
    inputs, outputs = session.get_inputs(), session.get_outputs()
    width = _width(item, [tuple(entry.shape or ()) for entry in inputs], 1)
    if inputs[0].type != "tensor(float)":
        raise Failed(f"{item.file} takes {inputs[0].type}; log it with mlflow.onnx")
    name, answer = inputs[0].name, outputs[0].name
    return width, lambda rows: np.asarray(session.run([answer], {name: rows})[0])


def _width(item: Item, shapes: Sequence[tuple[Any, ...]], outputs: int) -> int:
    rows = len(shapes) == outputs == 1 and len(shapes[0]) == 2 and isinstance(shapes[0][1], int)
    if not rows:
        raise Failed(
            f"{item.file} takes {list(shapes)}, not one row of numbers: log it with MLflow"
        )
    return int(shapes[0][1])


def _saver(item: Item) -> Callable[[Path, Samples], None]:
    def save(path: Path, samples: Samples) -> None:
        from mlflow.models import infer_signature

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mlflow's own, of its type hints
            options = {
                "signature": infer_signature(samples.inputs, samples.outputs),
                "pip_requirements": [],
            }
            if item.kind == "keras":
                import mlflow.keras

                mlflow.keras.save_model(item.content, str(path), **options)
            else:
                import mlflow.onnx
                import onnx

                mlflow.onnx.save_model(onnx.load(str(item.path)), str(path), **options)

    return save
