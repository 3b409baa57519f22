"""A graph in ONNX Runtime, called like any model: Batch in, Batch out."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs import door
from bentos.tensors import Batch
from bentos.tensors.schema import PROBABILITIES

LARGE = 1024  # rows: after such a run its memory is given back
FATAL = 4  # onnxruntime's logging level: what fails is raised


def start(graph: bytes) -> Any:
    """A session of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a batch has its core; more would take others' cores
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def give_back() -> Any:
    """The options of a run after which its memory is given back."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


class Session:
    """A predictor. May be called from several threads; the interpreter is free while it runs."""

    def __init__(self, graph: bytes) -> None:
        self._session = start(graph)
        self._give_back = give_back()
        self.notes: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._door = msgspec.json.decode(self.notes[door.PROPERTY], type=door.Door)
        self._enter, self._leave = door.Entrance(self._door), door.Exit(self._door)
        outputs = [output.name for output in self._session.get_outputs()]
        self._guards = [door.GUARD] if door.GUARD in outputs else []
        self.gives_probabilities = PROBABILITIES in outputs
        self._most = self._door.rows or 2**62

    @property
    def takes_missing(self) -> bool:
        """Whether a value of some column may be missing."""
        return any(entry.missing for entry in self._door.entries)

    def __call__(self, batch: Batch) -> Batch:
        """What the model gives for these rows. Raises BadInput for what it would not take."""
        (answers,) = self._asked(batch, [door.ANSWER])
        return self._leave(answers)

    def with_probabilities(self, batch: Batch) -> Batch:
        """The same, and `probabilities` (rows, classes), of a graph that gives them."""
        answers, shares = self._asked(batch, [door.ANSWER, PROBABILITIES])
        return Batch({**self._leave(answers), PROBABILITIES: shares})

    def _asked(self, batch: Batch, outputs: list[str]) -> list[NDArray[Any]]:
        rows = self._enter(batch)
        if len(rows) <= self._most:
            return self._run(rows, outputs, 0)
        starts = range(0, len(rows), self._most)
        parts = [self._run(rows[at : at + self._most], outputs, at) for at in starts]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _run(self, rows: NDArray[Any], outputs: list[str], start: int) -> list[NDArray[Any]]:
        options = self._give_back if len(rows) > LARGE else None
        made = self._session.run([*outputs, *self._guards], {door.ROWS: rows}, options)
        for guard in made[len(outputs) :]:
            self._leave.refuse(guard, start)
        return list(made[: len(outputs)])
