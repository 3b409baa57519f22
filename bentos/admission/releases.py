"""From what an admission left on disk to a release: all that a serving process does of it.

Nothing is judged here, no pickle read, no model compiled.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bentos.admission.compiling import Graph
from bentos.admission.manifest import Samples
from bentos.admission.verdict import GRAPH, NATIVE, Admitted
from bentos.flavors.graphs import Session
from bentos.flavors.loading import load
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import reopen
from bentos.flavors.probabilities import with_probabilities
from bentos.protocols.rows import Rows
from bentos.registry.client import Version
from bentos.serving.release import Probabilities, Release
from bentos.tensors import BadInput, Schema


def open_release(version: Version, admitted: Admitted, place: Path) -> Release:
    """Open what was left at `place`, and ask it once.

    It takes milliseconds for a graph, and as long as its library needs for a native form. To close
    a release and open it again, keep its version and place: `verdict.read(place)` has the rest,
    with the bytes of memory that it takes. Raises what the library raises of a damaged file; see
    `Admitted.holds`.
    """
    schema = admitted.schema
    if schema is None:
        predict, shares = _by_rows(admitted, place), Probabilities()
    else:
        predict, shares = _by_schema(admitted, schema, place)
    return Release(
        version, predict, admitted.runs, admitted.row_seconds, admitted.seconds,
        admitted.warnings, admitted.row_shape, admitted.metadata, admitted.note,
        schema, admitted.example, admitted.made_up, shares, admitted.files,
        admitted.answers,
    )  # fmt: skip


def _by_schema(
    admitted: Admitted, schema: Schema, place: Path
) -> tuple[Callable[[Any], Any], Probabilities]:
    predict: Callable[[Any], Any]
    shares: Callable[[Any], Any] | None = None
    if admitted.runs == "onnx":
        predict = graph = Session((place / GRAPH).read_bytes())
        if graph.gives_probabilities:
            shares = graph.with_probabilities
    else:
        opened = reopen(MLmodel(place / NATIVE), schema)
        predict = opened.predict
        if not admitted.lacks:
            shares = with_probabilities(opened)
    with suppress(BadInput):  # an example that a caller could not write, as one of NaN
        predict(Rows(schema, 1).decode(admitted.example).batch)
    return predict, Probabilities(admitted.classes, shares, admitted.lacks)


def _by_rows(admitted: Admitted, place: Path) -> Callable[[Any], Any]:
    predict: Callable[[Any], Any]
    if admitted.runs == "onnx":
        predict = Graph((place / GRAPH).read_bytes())
    else:
        predict = load(MLmodel(place / NATIVE)).predict
    predict(Samples([admitted.row], []).batch())
    return predict
