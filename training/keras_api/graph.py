"""What is served: one Keras model from raw rows to raw predictions and their confidence.

The confidence of a row is the share of training rows that lie farther out than it does: the
chi-square survival function of its squared standardized distance, with as many degrees of freedom
as there are columns, by Wilson and Hilferty's normal approximation (PNAS 17, 1931, p. 684). Rows
like those of the training have confidences all over 0 to 1, with a mean of about .5; a mean far
below that tells of drift. Exact it is for independent normal columns only.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from training.errors import InputError
from training.keras_api.scaling import Floats, Scaler, read_scaler


def served_model(model: keras.Model, scaler_X: Scaler, scaler_y: Scaler) -> keras.Model:
    """Wrap a fitted model between its scalers.

    Takes float64 [rows, inputs] in the original units and gives float64 [rows, outputs + 1]: the
    predictions in their original units, and the confidence as the last column. Raises
    `InputError` for a model or a scaler that cannot be served.
    """
    kind = type(model)
    if not kind.__module__.startswith("keras."):
        raise InputError(
            f"The model is a {kind.__name__}: make it a Sequential or Functional one."
        )
    inputs, outputs = width(model, "input"), width(model, "output")
    X, y = read_scaler("scaler_X", scaler_X, inputs), read_scaler("scaler_y", scaler_y, outputs)
    rows = keras.Input((inputs,), dtype="float64", name="rows")
    scaled = rescale(rows, X.scale, X.offset, "scaled")
    predictions = rescale(bare_copy(model)(scaled), *y.inverse(), "predictions")
    standardized = rescale(scaled, *X.standardizer(), "standardized")
    answers = keras.layers.Concatenate(dtype="float64", name="answers")
    return keras.Model(rows, answers([predictions, confidence(standardized, inputs)]))


def answer(served: keras.Model, rows: Floats) -> Floats:
    """Give what a served model answers: [rows, outputs + 1]."""
    answers: Floats = ops.convert_to_numpy(served(rows, training=False))
    return answers


def width(model: keras.Model, side: str) -> int:
    """How many columns a model takes (`input`) or gives (`output`)."""
    if not model.built:
        raise InputError("The model has no weights yet: fit it, or begin it with a keras.Input.")
    shape = getattr(model, f"{side}_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int)):
        raise InputError(
            f"The model's {side} shape is {shape}; rows, (None, columns), are served."
        )
    return shape[1]


def rescale(tensor: Any, scale: Floats, offset: Floats, name: str) -> Any:
    """Multiply and add by column, in float64; nothing is added to the graph where nothing is."""
    if (scale == 1).all() and (offset == 0).all() and tensor.dtype == "float64":
        return tensor
    layer = keras.layers.Rescaling(scale.tolist(), offset.tolist(), dtype="float64", name=name)
    return layer(tensor)


def confidence(standardized: Any, columns: int) -> Any:
    """Turn standardized rows [rows, columns] into confidences [rows, 1]."""
    variance = 2 / (9 * columns)
    distance = ops.sum(ops.square(standardized), axis=-1, keepdims=True)
    deviation = (ops.cbrt(distance / columns) - (1 - variance)) / math.sqrt(variance)
    return ops.erfc(deviation / math.sqrt(2)) / 2


def bare_copy(model: keras.Model) -> keras.Model:
    """Copy a model of Keras' own layers, weights and all, without what it was trained by."""
    config = model.get_config()
    refuse_foreign(config)
    copy = type(model).from_config(without_compiling(config) | {"name": "model"})
    copy.set_weights(model.get_weights())
    return copy


def without_compiling(node: Any) -> Any:
    """Leave out the optimizers of models inside models."""
    if isinstance(node, dict):
        return {k: without_compiling(v) for k, v in node.items() if k != "compile_config"}
    return [without_compiling(each) for each in node] if isinstance(node, list) else node


def refuse_foreign(config: dict[str, Any]) -> None:
    """Raise `InputError` for a model's config that names more than Keras' own layers."""
    if foreign := sorted(set(foreign_names(without_compiling(config)))):
        raise InputError(
            f"The model holds {', '.join(foreign)}, which cannot be served: use Keras' own "
            "layers, without Lambda."
        )


def foreign_names(node: Any) -> Iterator[str]:
    """Name what a config holds besides Keras' own layers."""
    if isinstance(node, dict):
        module, kind = node.get("module"), node.get("class_name")
        own = module in (None, "builtins") or str(module).split(".")[0] == "keras"
        if not own or kind in ("Lambda", "__lambda__"):
            yield str(kind)
        node = list(node.values())
    if isinstance(node, list | tuple):
        for each in node:
            yield from foreign_names(each)
