"""From what an admission left on disk to a release: all that a serving process does of it.

Nothing is judged here, no pickle read, no model compiled.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bentos.admission.compiling import Graph
from bentos.admission.housing import USUAL, isolate, run
from bentos.admission.manifest import Samples
from bentos.admission.networks import NETWORKS
from bentos.admission.processes import Process
from bentos.admission.verdict import BANDS, GRAPH, NATIVE, Admitted
from bentos.flavors.graphs import Session
from bentos.flavors.loading import load
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.networks import graph_predict
from bentos.flavors.opening import reopen
from bentos.flavors.probabilities import with_probabilities
from bentos.protocols.rows import Rows
from bentos.registry.client import Version
from bentos.serving.release import Bands, Probabilities, Release
from bentos.settings import ProcessSettings
from bentos.tensors import BadInput, Schema

Call: TypeAlias = Callable[[Any], Any]


class Found(NamedTuple):
    """What answers, and gives probabilities; `process` is what it runs in, if that is its own."""

    predict: Call
    shares: Call | None = None
    process: Process | None = None


def open_release(
    version: Version,
    admitted: Admitted,
    place: Path,
    processes: ProcessSettings = USUAL,
) -> Release:
    """Open what was left at `place`, and ask it once.

    It takes milliseconds for a graph, and as long as its library needs for a native form. To close
    a release and open it again, keep its version and place: `verdict.read(place)` has the rest,
    with the bytes of memory that it takes. Raises what the library raises of a damaged file; see
    `Admitted.holds`.
    """
    schema = admitted.schema
    if schema is None:
        found, shares = Found(_by_rows(admitted, place)), Probabilities()
    else:
        found = _by_schema(admitted, schema, place, processes)
        shares = Probabilities(admitted.classes, found.shares, admitted.lacks)
    predict = found.predict
    return Release(
        version, predict, admitted.runs, admitted.row_seconds, admitted.seconds,
        admitted.warnings, admitted.row_shape, admitted.metadata, admitted.note,
        schema, admitted.example, admitted.made_up, shares, admitted.files,
        admitted.answers, process=found.process, bands=_bands(place),
        memory=admitted.memory,
    )  # fmt: skip


def _by_schema(
    admitted: Admitted, schema: Schema, place: Path, processes: ProcessSettings
) -> Found:
    if admitted.runs == "onnx" and admitted.flavor in NETWORKS:
        found = Found(graph_predict((place / GRAPH).read_bytes(), schema), None)
    elif admitted.runs == "onnx":
        graph = Session((place / GRAPH).read_bytes())
        found = Found(graph, graph.with_probabilities if graph.gives_probabilities else None)
    elif admitted.python:
        found = _in_process(admitted, schema, place / NATIVE, processes)
    else:
        opened = reopen(MLmodel(place / NATIVE), schema)
        found = Found(opened.predict, None if admitted.lacks else with_probabilities(opened))
    with suppress(BadInput):  # an example that a caller could not write, as one of NaN
        found.predict(Rows(schema, 1).decode(admitted.example).batch)
    return found


def _in_process(
    admitted: Admitted, schema: Schema, folder: Path, processes: ProcessSettings
) -> Found:
    python = Path(admitted.python)
    if admitted.runs == "isolated":
        housed = isolate(python, folder, schema, admitted.apart, processes)
    else:
        housed = run(python, folder, schema, processes)
    return Found(housed.predict, housed.shares, housed.process)


def _by_rows(admitted: Admitted, place: Path) -> Callable[[Any], Any]:
    predict: Callable[[Any], Any]
    if admitted.runs == "onnx":
        graph = (place / GRAPH).read_bytes()
        network = admitted.flavor in NETWORKS
        predict = Graph.of_network(graph, admitted.row_shape) if network else Graph(Session(graph))
    else:
        predict = load(MLmodel(place / NATIVE)).predict
    predict(Samples([admitted.row], []).batch())
    return predict


def _bands(place: Path) -> Bands | None:
    path = place / BANDS
    if not path.exists():
        return None
    from training.itransformer.bands import read

    return read(path)
