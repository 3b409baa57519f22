"""Models of named tensors, asked with batches; `torch_networks` has Keras' and torch's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.flavors.carried import Carried, Known
from bentos.flavors.graphs.door import named, outputs_of
from bentos.flavors.graphs.session import LARGE, give_back, start
from bentos.flavors.natives import Predict, guarded
from bentos.refusal import Refusal
from bentos.tensors import BadInput, Batch, Column, Dtype, Schema
from bentos.tensors.schema import OBJECTS, PREDICTION

Run = Callable[[Mapping[str, NDArray[Any]]], Sequence[Any]]
Shape = tuple[int, ...]
Tensor = tuple[str, Dtype, Shape]  # the shape has the rows in front; -1 is any size
SIDES = "ascenso.network"
OUT_OF_RANGE = "out of data bounds"  # as ONNX Runtime says it

ONNX_TYPES: Mapping[str, Dtype] = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
    "tensor(int8)": "int8", "tensor(int16)": "int16", "tensor(int32)": "int32",
    "tensor(int64)": "int64", "tensor(uint8)": "uint8", "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool",
    "tensor(string)": "string",
}  # fmt: skip


class Sides(msgspec.Struct, frozen=True):
    """The tensors that go into a network, and those that come out."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def rows(self) -> int | None:
        """How many rows it takes at once, where only so many: an example's, as torch froze it."""
        sizes = {shape[0] if shape else -1 for _, _, shape in self.inputs}
        return sizes.pop() if len(sizes) == 1 and min(sizes) > 0 else None


class Network:
    """A model of named tensors, of which `run` gives the outputs in their order."""

    def __init__(
        self,
        model: object,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        run: Run,
    ) -> None:
        self.model = model
        self.sides = Sides(tuple(inputs), tuple(outputs))
        self._inputs, self._outputs = self.sides.inputs, self.sides.outputs
        size = self.sides.rows
        self._run = run if size is None else _by_so_many(run, size)

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


def _by_so_many(run: Run, size: int) -> Run:
    """Ask for so many rows at once; the last are filled up with the last of them."""

    def in_parts(feeds: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        rows = len(next(iter(feeds.values())))
        parts = []
        for first in range(0, rows, size):
            places = np.minimum(np.arange(first, first + size), rows - 1)
            answers = [_array(one) for one in run({n: v[places] for n, v in feeds.items()})]
            if any(answer.shape[:1] != (size,) for answer in answers):
                raise ValueError(f"the model gives {answers[0].shape} for {size} rows")
            parts.append(answers)
        return [np.concatenate(each)[:rows] for each in zip(*parts, strict=True)]

    return in_parts


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


def of_graph(graph: bytes) -> Network:
    """What `exporting` made of a network: asked as the network was, without its library."""
    session = start(graph)
    sides = msgspec.json.decode(session.get_modelmeta().custom_metadata_map[SIDES], type=Sides)
    taken = {entry.name for entry in session.get_inputs()}
    pairs = [(name, f"in{at}") for at, (name, _, _) in enumerate(sides.inputs)]
    given = [f"out{at}" for at in range(len(session.get_outputs()))]
    shrinks = give_back()

    def run(feeds: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        rows = {inner: feeds[name] for name, inner in pairs if inner in taken}
        options = shrinks if len(next(iter(rows.values()))) > LARGE else None
        try:
            return session.run(given, rows, options)  # type: ignore[no-any-return]
        except Exception as error:
            if OUT_OF_RANGE in str(error):
                raise IndexError("an index is out of range") from error
            raise

    return Network(session, sides.inputs, sides.outputs, run)


def graph_predict(graph: bytes, schema: Schema) -> Predict:
    """What answers batches of the schema by a network's graph. It takes finite numbers alone."""
    answers = of_graph(graph).predict(schema)
    floats = [column.name for column in schema.inputs if column.numpy.kind == "f"]

    def answer(batch: Batch) -> Batch:
        for name in floats:
            _refuse_infinite(name, batch[name])
        return answers(batch)

    return guarded(schema, answer)


def _refuse_infinite(name: str, values: NDArray[Any]) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argwhere(infinite)[0][0])
        said = f"{name or 'the input'} is infinite; the model takes finite numbers"
        raise BadInput(said, name, row)


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
