"""From a loaded model to ONNX Runtime, kept only when it agrees with the original.

One row costs scikit-learn milliseconds of Python before any arithmetic; the same trees in ONNX
Runtime cost microseconds. Who opens the graph needs no scikit-learn.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from bentos.admission import probes
from bentos.admission.manifest import Samples
from bentos.admission.networks import compile_network, is_network
from bentos.admission.proof import prove
from bentos.flavors.graphs import Compiled, NoGraph, Session, compile_model
from bentos.flavors.loading import Loaded, Predictor
from bentos.flavors.natives import Predict
from bentos.flavors.networks import of_graph
from bentos.tensors import Batch, Column, Schema
from bentos.tracing.steps import step

if TYPE_CHECKING:
    from onnx import ModelProto

log = logging.getLogger(__name__)

# Whose classes have graphs; importing the compiler takes a second that others need not wait.
COMPILED = ("sklearn.", "training.contugas.", "xgboost.", "lightgbm.")
ANSWER = "prediction"
PROOF_SECONDS = 20.0


class Made(NamedTuple):
    """What answers, and what was found when it was compared; `predict` is None without a graph."""

    predict: Predictor | None
    note: str


class Graph:
    """A graph called like its model: rows [n, ...] to [n] or [n, ...]."""

    def __init__(self, answers: Predict) -> None:
        self._answers = answers

    @classmethod
    def of_network(cls, graph: bytes, shape: tuple[int, ...]) -> "Graph":
        """Of a network of rows of that shape."""
        return cls(of_graph(graph).predict(_rows(shape)))

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """What the model gives. Raises BadInput for what it would not take."""
        return self._answers(Batch({"": rows}))[ANSWER]


@step("compile")
def compile_rows(loaded: Loaded, samples: Samples, path: Path, deadline: float) -> Made:
    """A predictor in ONNX Runtime that gives the model's own answers, and is left at `path`.

    It takes rows of float64. A missing value is refused where the model has no way for it, even
    if its arithmetic goes on with NaN. The admission has `deadline` seconds in all.
    """
    batch = samples.batch()
    name, network = type(loaded.model).__name__, is_network(loaded.model)
    if not network and not type(loaded.model).__module__.startswith(COMPILED):
        return Made(None, f"{name} has no graph")
    if batch.dtype != np.float64 or (batch.ndim != 2 and not network):
        return Made(None, "rows that are not all numbers are not compiled here")
    try:
        if network:
            return _network(loaded, batch, path, deadline)
        return _compiled(loaded, batch, path)
    except OSError:
        raise
    except NoGraph as error:
        note = f"{name} stays native: {error}"
    except Exception as error:
        note = f"{name} stays native: {type(error).__name__}: {error}"
    log.info("%s", note)
    return Made(None, note)


def held(
    compiled: Compiled,
    schema: Schema,
    native: Callable[[Batch], Batch],
    samples: Batch,
    may_refuse_missing: bool = False,
    probabilities: bool = False,
) -> "tuple[ModelProto, str]":
    """A graph that gives the model's own answers, and what was found when they were compared.

    With `may_refuse_missing` a graph that takes no missing value at all is compared without them,
    although the schema has them. With `probabilities` both give those of a classifier, too.
    Raises NoGraph.
    """
    session = Session(bytes(compiled.proto.SerializeToString()))
    whole = may_refuse_missing and not session.takes_missing
    rows = probes.rows(_required(schema) if whole else schema, samples, compiled.critical)
    asked = session.with_probabilities if probabilities else session
    proof = prove(native, asked, rows, compiled.kind, PROOF_SECONDS)
    if not proof.holds:
        raise NoGraph(str(proof))
    return compiled.proto, str(proof)


def leave(proto: "ModelProto", path: Path) -> bytes:
    """Write a graph; give its bytes."""
    graph = bytes(proto.SerializeToString())
    path.write_bytes(graph)
    return graph


def _required(schema: Schema) -> Schema:
    inputs = tuple(structs.replace(column, nullable=False) for column in schema.inputs)
    return structs.replace(schema, inputs=inputs)


def _rows(shape: tuple[int, ...]) -> Schema:
    return Schema((Column("", "float64", shape, nullable=True),))


def _native(loaded: Loaded) -> Predict:
    return lambda asked: Batch({ANSWER: np.asarray(loaded.predict(asked[""]))})


def _compiled(loaded: Loaded, batch: NDArray[Any], path: Path) -> Made:
    schema, samples = _rows(batch.shape[1:]), Batch({"": batch})
    compiled = compile_model(loaded.model, schema, loaded.predict_fn)
    proto, proof = held(compiled, schema, _native(loaded), samples, may_refuse_missing=True)
    return Made(Graph(Session(leave(proto, path))), proof)


def _network(loaded: Loaded, batch: NDArray[Any], path: Path, deadline: float) -> Made:
    def opened(graph: bytes, schema: Schema) -> Predict:
        return of_graph(graph).predict(schema)

    schema, samples = _rows(batch.shape[1:]), Batch({"": batch})
    native = _native(loaded)
    found = compile_network(loaded.model, schema, native, samples, opened, path, deadline)
    return Made(Graph(found.predict), found.note)
