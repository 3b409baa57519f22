"""Keras', ONNX's and torch's models, asked with batches."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.carried import Carried, Known
from bentos.flavors.graphs.door import named, outputs_of
from bentos.process import keras_on_torch, one_thread
from bentos.refusal import Refusal
from bentos.tensors import Batch, Column, Dtype, Schema
from bentos.tensors.schema import OBJECTS, PREDICTION

Run = Callable[[Mapping[str, NDArray[Any]]], Sequence[Any]]
Shape = tuple[int, ...]

ONNX_TYPES: Mapping[str, Dtype] = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32",
    "tensor(int64)": "int64", "tensor(uint8)": "uint8", "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool",
    "tensor(string)": "string",
}  # fmt: skip


class Network:
    """A model of named tensors, of which `run` gives the outputs in their order."""

    def __init__(
        self,
        model: object,
        inputs: Sequence[tuple[str, Dtype, Shape]],
        outputs: Sequence[tuple[str, Dtype, Shape]],
        run: Run,
    ) -> None:
        self.model = model
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._run = run

    def carried(self) -> Carried:
        """The inputs as columns; a single one needs no name."""
        single = len(self._inputs) == 1
        columns = tuple(
            Known("" if single else name, dtype, _row(shape))
            for name, dtype, shape in self._inputs
        )
        outputs: tuple[Column, ...] = ()
        if len(self._outputs) > 1:
            outputs = tuple(
                Column(name, dtype, _row(shape)) for name, dtype, shape in self._outputs
            )
        return Carried(columns, named=not single, outputs=outputs, own=True)

    def predict(self, schema: Schema) -> Callable[[Batch], Batch]:
        """What answers batches of the schema. Raises Refusal where the columns are others."""
        feed = self._feed(schema)
        outputs = outputs_of(schema)

        def answer(batch: Batch) -> Batch:
            answers = [_array(one) for one in self._run(feed(batch))]
            if len(answers) == 1:
                return named(outputs, answers[0])
            return self._several(schema, answers)

        return answer

    def _several(self, schema: Schema, answers: Sequence[NDArray[Any]]) -> Batch:
        made = dict(zip((name for name, _, _ in self._outputs), answers, strict=True))
        names = [column.name for column in schema.outputs] or list(made)
        if set(names) <= made.keys():
            return Batch({name: made[name] for name in names})
        if len(names) == 1:
            return Batch({names[0] or PREDICTION: answers[0]})
        return Batch(dict(zip(names, answers, strict=True)))

    def _feed(self, schema: Schema) -> Callable[[Batch], Mapping[str, NDArray[Any]]]:
        names = [name for name, _, _ in self._inputs]
        dtypes = [_numpy(dtype) for _, dtype, _ in self._inputs]
        if len(names) == 1:
            (name, _, shape), dtype = self._inputs[0], dtypes[0]
            one = len(schema.inputs) == 1 and (len(schema.inputs[0].shape) + 1 == len(shape))
            return lambda batch: {name: _only(batch, one, len(shape)).astype(dtype, copy=False)}
        if set(names) - set(schema.names):
            raise Refusal("schema", f"the model takes {', '.join(names)}, but {schema.known()}")
        ranks = [len(shape) for _, _, shape in self._inputs]
        return lambda batch: {
            name: _ranked(batch[name].astype(dtype, copy=False), rank)
            for name, dtype, rank in zip(names, dtypes, ranks, strict=True)
        }


def _only(batch: Batch, one: bool, rank: int) -> NDArray[Any]:
    if one:
        (values,) = batch.values()
        return values
    block = batch.block()
    return block[:, 0] if rank == 1 and block.shape[1] == 1 else block


def _ranked(values: NDArray[Any], rank: int) -> NDArray[Any]:
    """Numbers as columns (rows, 1), where a graph wants them so."""
    return values[:, None] if values.ndim == 1 and rank == 2 else values


def _array(answer: Any) -> NDArray[Any]:
    """An answer as an array; a list of dictionaries, as ZipMap gives it, as objects."""
    if isinstance(answer, list):
        made = np.empty(len(answer), dtype=object)
        made[:] = answer
        return made
    return np.asarray(answer)


def _row(shape: Shape) -> Shape:
    """The shape of one row, of that of many."""
    return shape[1:]


def _numpy(dtype: Dtype) -> "np.dtype[Any]":
    return np.dtype(object) if dtype in OBJECTS else np.dtype(dtype)


def of_function(model: object, predict: Callable[[NDArray[Any]], NDArray[Any]]) -> Network:
    """A function of one tensor, of which nothing else is known."""
    return Network(model, [("", "float64", ())], [], lambda feeds: [predict(feeds[""])])


def of_keras(model: Any) -> Network:
    """A Keras model, on torch."""
    keras = keras_on_torch()
    torch = __import__("torch")

    def side(tensors: Any) -> list[tuple[str, Dtype, Shape]]:
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


def of_session(session: Any) -> Network:
    """A graph in ONNX Runtime. Raises Refusal for inputs that are no tensors."""
    inputs = [_entry(entry) for entry in session.get_inputs()]
    outputs = [_entry(entry, "json") for entry in session.get_outputs()]
    names = [name for name, _, _ in outputs]
    return Network(session, inputs, outputs, lambda feeds: session.run(names, dict(feeds)))


def _entry(entry: Any, other: Dtype | None = None) -> tuple[str, Dtype, Shape]:
    dtype = ONNX_TYPES.get(entry.type, other)
    if dtype is None:
        raise Refusal("schema", f"the graph's input {entry.name} is a {entry.type}, no tensor")
    shape = tuple(size if isinstance(size, int) else -1 for size in entry.shape or ())
    return entry.name, dtype, shape


def of_program(program: Any) -> Network:
    """A program of `torch.export`."""
    import torch

    module = program.module(check_guards=False)
    names = list(program.graph_signature.user_inputs)
    values = {n.name: n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder"}
    inputs: list[tuple[str, Dtype, Shape]] = []
    for name in names:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            raise Refusal("schema", f"the program's input {name} is no tensor")
        shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
        inputs.append((str(name), str(value.dtype).removeprefix("torch."), shape))  # type: ignore[arg-type]
    outputs: list[tuple[str, Dtype, Shape]] = [
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
