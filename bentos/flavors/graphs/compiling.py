"""From a fitted model and its schema to a graph with exactly its answers, or the reason for none.

A graph takes one matrix (rows, columns): float32 where all columns are, float64 otherwise. Text
comes in as codes. It computes in the model's own dtypes, and casts where the model casts.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from bentos.flavors.graphs import door
from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import FLOAT32_MAX, Answer, Column, Frame, Words
from bentos.flavors.graphs.compiled import Compiled, NoGraph, TooFar
from bentos.flavors.graphs.door import ANSWER, GUARD, ROWS
from bentos.flavors.graphs.registry import answer
from bentos.tensors import Column as Input
from bentos.tensors import Schema
from bentos.tensors.schema import PROBABILITIES

LIMITS = (FLOAT32_MAX, 1e36, 1e30, 1e24, 1e18, 1e12)
OPSETS = (("", 21), ("ai.onnx.ml", 5))
MOST_BYTES = 2**24  # that one tensor of a run may take
EXACT_INTEGERS = float(2**53)


def compile_model(
    model: object, schema: Schema, method: str, probabilities: bool = False
) -> Compiled:
    """The graph of what `model.<method>` gives for columns of the schema. Raises NoGraph.

    With `probabilities` it gives those of a classifier's classes as well.
    """
    _register()
    for limit in LIMITS:
        builder = Builder(limit)
        try:
            frame = enter(builder, schema, width(model))
            made = answer(builder, model, frame, method)
            shares = answer(builder, model, frame, "predict_proba") if probabilities else None
        except TooFar as far:
            reason = far
            continue
        builder.finish()
        return Compiled(finished(builder, schema, made, shares), critical(builder))
    raise reason


def _register() -> None:
    """Import what compiles each class."""
    from bentos.flavors.graphs import (  # noqa: F401
        committees,
        containers,
        contugas,
        encoders,
        features,
        forests,
        functions,
        histograms,
        imputers,
        lgbm,
        linear,
        others,
        scalers,
        xgb,
    )


def width(model: object) -> int | None:
    """How many columns a model takes, where it says so."""
    count = getattr(model, "n_features_in_", None)
    return int(count) if isinstance(count, int | np.integer) else None


def enter(b: Builder, schema: Schema, columns: int | None) -> Frame:
    """The columns of the one matrix that comes in. Raises NoGraph for what is no such column."""
    inputs = inputs_of(schema, columns)
    entry = np.dtype(np.float32 if all(c.dtype == "float32" for c in inputs) else np.float64)
    b.types[ROWS] = entry
    b.widths[ROWS] = len(inputs)
    return tuple(_entering(b, at, column) for at, column in enumerate(inputs))


def inputs_of(schema: Schema, columns: int | None) -> tuple[Input, ...]:
    """The columns of a schema, with those of a matrix named by their numbers."""
    single = schema.single
    if single is None or single.shape == ():
        inputs = schema.inputs
    elif len(single.shape) == 1:
        size = single.shape[0] if single.shape[0] > 0 else columns
        if size is None:
            raise NoGraph("the number of columns is not known")
        inputs = tuple(
            Input(str(at), single.dtype, nullable=single.nullable) for at in range(size)
        )
    else:
        raise NoGraph(f"rows of the shape {list(single.shape)} are no columns")
    for column in inputs:
        if column.shape or column.dtype in ("binary", "datetime", "json", "float16"):
            raise NoGraph(f"the column {column.name!r} is {column.dtype} {list(column.shape)}")
    if columns is not None and len(inputs) != columns:
        raise NoGraph(f"the model takes {columns} columns, and the schema has {len(inputs)}")
    return inputs


def _entering(b: Builder, at: int, column: Input) -> Column:
    lacks = frozenset([column.name] if column.nullable else [])
    if column.dtype == "string":
        b.words.setdefault(column.name, Words())
        return Column(ROWS, at, np.dtype(object), 0.0, lacks, column.name, text=column.name)
    dtype = np.dtype(np.float64 if column.nullable else column.dtype)
    reach = min(b.limit, EXACT_INTEGERS) if np.dtype(column.dtype).kind in "iu" else b.limit
    return Column(ROWS, at, dtype, 1.0 if column.dtype == "bool" else reach, lacks, column.name)


def critical(b: Builder) -> dict[str, NDArray[Any]]:
    """The noted thresholds by input column, each once, and the known words."""
    numbers = {name: np.unique(np.concatenate(parts)) for name, parts in b.critical.items()}
    texts = {name: np.array(list(words.values), dtype=object) for name, words in b.words.items()}
    return numbers | texts


def finished(
    b: Builder, schema: Schema, made: Answer, probabilities: Answer | None = None
) -> ModelProto:
    """The graph of all that was built, with what a session must know of its door."""
    outputs = [(ANSWER, _output(b, made)), *_guards(b)]
    if probabilities:
        outputs.append((PROBABILITIES, probabilities.tensor))
    b.nodes += [helper.make_node("Identity", [name], [out]) for out, name in outputs]
    graph = helper.make_graph(
        _needed(b.nodes, [out for out, _ in outputs]),
        "model",
        [_info(ROWS, b.types[ROWS], [None, b.widths[ROWS]])],
        [_info(out, b.types[name], [None, None]) for out, name in outputs],
    )
    used = {name for node in graph.node for name in node.input}
    for name, value in b.constants.items():
        if name in used:
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    checker.check_model(proto)
    helper.set_model_props(
        proto, {door.PROPERTY: msgspec.json.encode(_door(b, schema, made)).decode()}
    )
    return proto


def _output(b: Builder, made: Answer) -> str:
    return b.cast(made.tensor, np.int64) if made.classes is not None else made.tensor


def _guards(b: Builder) -> list[tuple[str, str]]:
    """All guards side by side, as one output (rows, guards)."""
    b.guards = list(dict.fromkeys(b.guards))
    return [(GUARD, b.concat([name for name, _, _ in b.guards]))] if b.guards else []


def _needed(nodes: Iterable[NodeProto], outputs: list[str]) -> list[NodeProto]:
    """The nodes from which the outputs are made, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(list(nodes)):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]


def _info(name: str, dtype: Any, shape: list[int | None]) -> Any:
    kind: TensorProto.DataType = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, shape)


def _door(b: Builder, schema: Schema, made: Answer) -> door.Door:
    inputs = inputs_of(schema, b.widths[ROWS])
    return door.Door(
        entries=tuple(_entry(b, column) for column in inputs),
        limit=b.limit,
        single=schema.single is not None and schema.single.shape != (),
        float32=b.types[ROWS] == np.float32,
        outputs=door.outputs_of(schema),
        flat=made.flat,
        classes=None if made.classes is None else made.classes.tolist(),
        classes_dtype="" if made.classes is None else made.classes.dtype.str,
        guards=tuple((message, column) for _, message, column in b.guards),
        rows=max(1, MOST_BYTES // b.row_bytes) if b.row_bytes else None,
    )


def _entry(b: Builder, column: Input) -> door.Entry:
    missing = column.nullable and column.name not in b.refused
    words = b.words.get(column.name)
    if words is None:
        whole = np.dtype(column.dtype).kind in "iu"
        return door.Entry(column.name, missing, limit=EXACT_INTEGERS if whole else None)
    values = words.values
    if words.accepted is not None:
        values = {value: code for value, code in values.items() if value in words.accepted}
    pairs = tuple((str(value), code) for value, code in values.items())
    return door.Entry(column.name, missing, words=pairs, strangers=words.accepted is None)
