"""From a loaded model to ONNX Runtime, kept only when it agrees with the original.

One row costs scikit-learn milliseconds of Python before any arithmetic; the same trees in ONNX
Runtime cost microseconds. The compiled form lies beside the fetched version, so that a restarted
service needs no scikit-learn to answer.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bentos.admission.manifest import Samples
from bentos.flavors.loading import Loaded, Predictor

if TYPE_CHECKING:
    from onnx import ModelProto

log = logging.getLogger(__name__)

FLAT = "flat"  # a property of a graph whose model gives [n], while the graph gives [n, 1]
JITTERED_ROWS = 256
JITTER = 0.05


@runtime_checkable
class KnowsOnnx(Protocol):
    """One of our own estimators, which brings its own graph."""

    def to_onnx(self) -> "ModelProto":
        """A graph from float64 rows to what `predict` gives."""
        ...


class Session:
    """A graph in ONNX Runtime with one input and one output, called like a model."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a batch has its core; more would take others' cores
        self.graph = graph
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        (entry,) = self._session.get_inputs()
        self._entry = entry.name
        self._dtype = np.float64 if entry.type == "tensor(double)" else np.float32
        self._flat = FLAT in self._session.get_modelmeta().custom_metadata_map

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows [n, inputs] to outputs, [n] or [n, outputs] as the original model has it."""
        out: NDArray[Any] = self._session.run(None, {self._entry: rows.astype(self._dtype)})[0]
        return out[:, 0] if self._flat and out.ndim == 2 else out


def compile_model(loaded: Loaded, samples: Samples, path: Path) -> Predictor | None:
    """A predictor in ONNX Runtime that gives the model's own answers, also kept at `path`.

    None where the model has no such form, or where it does not agree.
    """
    name = type(loaded.model).__name__
    batch = samples.batch()
    if batch.dtype != np.float64 or batch.ndim != 2 or not _may_compile(loaded.model):
        return None
    rows = _jittered(batch)
    try:
        expected = np.asarray(loaded.predict(rows))
        session = Session(_graph(loaded, batch.shape[1], flat=expected.ndim == 1))
        agrees = samples.agree(session(rows), expected)
    except Exception as error:
        log.info("%s stays native: %s: %s", name, type(error).__name__, error)
        return None
    if not agrees:
        log.info("%s stays native: in ONNX it answers otherwise", name)
        return None
    _keep(session.graph, path)
    return session


def open_compiled(path: Path) -> Predictor | None:
    """What `compile_model` kept at `path`, or None."""
    try:
        return Session(path.read_bytes())
    except FileNotFoundError:
        return None
    except Exception as error:
        log.warning("%s cannot be used: %s", path, error)
        return None


def _may_compile(model: object) -> bool:
    """Whether it is worth the seconds that importing the converters takes."""
    return isinstance(model, KnowsOnnx) or type(model).__module__.startswith("sklearn.")


def _graph(loaded: Loaded, width: int, flat: bool) -> bytes:
    """The model as a graph that gives only what its predict function gives."""
    from onnx.helper import set_model_props

    if isinstance(loaded.model, KnowsOnnx):
        proto = loaded.model.to_onnx()
    else:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        proba = loaded.predict_fn == "predict_proba"
        entry = [("rows", FloatTensorType([None, width]))]
        proto = to_onnx(
            loaded.model, initial_types=entry, options={"zipmap": False} if proba else None
        )
        wanted = proto.graph.output[-1 if proba else 0]
        del proto.graph.output[:]
        proto.graph.output.append(wanted)
    set_model_props(proto, {FLAT: "1"} if flat else {})
    return bytes(proto.SerializeToString())


def _jittered(batch: NDArray[np.float64]) -> NDArray[np.float64]:
    """The samples, and seeded rows around them: agreement is asked for beyond what was stored."""
    random = np.random.default_rng(0)
    near = batch[random.integers(len(batch), size=JITTERED_ROWS)]
    spread = JITTER * batch.std(axis=0) * random.standard_normal(near.shape)
    rows: NDArray[np.float64] = np.concatenate([batch, near + spread])
    return rows


def _keep(graph: bytes, path: Path) -> None:
    """Write the graph whole or not at all; without it the next start compiles again."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(graph)
        partial.replace(path)
    except OSError as error:
        log.warning("%s is not kept: %s", path, error)
        partial.unlink(missing_ok=True)
