"""From a network to ONNX Runtime, kept only when it agrees with the original.

A graph's numbers differ from the network's in the last bits of float32: both sum in orders of
their own. `bentos.admission.comparing` has the bounds.
"""

import logging
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bentos.admission.forks import Apart, apart
from bentos.admission.network_probes import in_pieces, parts
from bentos.admission.proof import prove_parts
from bentos.flavors.graphs import NoGraph
from bentos.flavors.natives import Predict
from bentos.tensors import Batch, Schema

NETWORKS = frozenset({"keras", "pytorch", "itransformer"})  # flavors
MODULES = ("keras.", "torch.export.", "training.itransformer.")
EXPORT_SHARE = 0.5  # of the seconds that an admission has
PROOF_SECONDS = 20.0


class Answering(NamedTuple):
    """What answers by a graph, and what was found when it was compared."""

    predict: Predict
    note: str


def is_network(model: object) -> bool:
    """Whether a model is of a kind that torch exports."""
    return type(model).__module__.startswith(MODULES)


def prepare() -> None:
    """Import what an export needs, for all that are forked later."""
    from bentos.flavors import exporting

    exporting.prepare()


def compile_network(
    model: Any, schema: Schema, native: Predict, samples: Batch,
    opened: Callable[[bytes, Schema], Predict], path: Path, deadline: float,
) -> Answering:  # fmt: skip
    """What answers by a graph, which is left at `path`.

    `opened` is how workers open it, and `deadline` how many seconds the admission has in all.
    Raises NoGraph.
    """
    try:
        graph = apart(partial(_export, model), EXPORT_SHARE * deadline)
    except Apart as error:
        raise NoGraph(str(error)) from error
    predict = opened(graph, schema)
    asked = partial(_answers, native)
    proof = prove_parts(native, in_pieces(predict), parts(schema, samples, asked), PROOF_SECONDS)
    if not proof.holds:
        raise NoGraph(str(proof))
    path.write_bytes(graph)
    return Answering(predict, str(proof))


def _export(model: Any) -> bytes:
    logging.disable(logging.WARNING)  # what the exporter says of itself helps nobody
    warnings.simplefilter("ignore")
    from bentos.flavors.exporting import export

    return export(model)


def _answers(native: Predict, rows: Batch) -> bool:
    try:
        native(rows)
    except Exception:
        return False
    return True
