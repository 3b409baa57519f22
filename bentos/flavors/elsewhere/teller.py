"""Opens a version, answers rows of it and compiles it, in an environment of its own releases.

`start.START` starts it: of where this project is installed it has our own packages and no more.
Before anything of the version is read, it has limits. In quarantine the version's own code runs.
"""

import ctypes
import os
import resource
import signal
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from bentos.flavors.elsewhere import wire
from bentos.flavors.elsewhere.running import as_skops, open_by_running
from bentos.flavors.graphs import NoGraph, compile_model
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import shares_of
from bentos.flavors.samples import samples_of
from bentos.refusal import OF_MEMORY, Refusal, lacked_memory
from bentos.tensors import BadInput, Batch

PDEATHSIG = 1
REPORTED = ("scikit-learn", "numpy", "scipy", "pandas", "xgboost", "xgboost-cpu", "lightgbm")
Reply: TypeAlias = wire.Answers | wire.Graph | wire.Written | wire.Bad | wire.Refused | wire.Failed
OPENERS = {"read": open_model, "run": open_by_running}


def main() -> None:
    """Serve who started this, until that is gone."""
    folder, seconds, how = Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    _limit(seconds)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    try:
        opened = Teller(OPENERS[how](MLmodel(folder)), MLmodel(folder))
    except MemoryError:
        wire.write(out, wire.Refused(OF_MEMORY.reason, OF_MEMORY.message))
        return
    except Refusal as error:
        refusal = OF_MEMORY if lacked_memory(error) else error
        wire.write(out, wire.Refused(refusal.reason, refusal.message))
        return
    wire.write(out, opened.hello())
    opened.serve(sys.stdin.buffer, out)


class Teller:
    """An open version. Raises Refusal where it cannot be opened or asked."""

    def __init__(self, opened: Opened, mlmodel: MLmodel) -> None:
        self.opened = opened
        self.samples, self.made_up = samples_of(mlmodel, self.opened)
        try:
            self.opened.predict(self.samples)
        except Exception as error:
            what = "rows made up from the model" if self.made_up else "the input example"
            raise Refusal("samples", f"{type(error).__name__} at {what}: {error}") from error
        self.classes, self.shares, self.lacks = shares_of(self.opened, self.samples)

    def hello(self) -> wire.Opened:
        """What is known of the version."""
        return wire.Opened(
            type(self.opened.model).__name__, self.opened.note, dict(_releases()),
            self.opened.schema, wire.packed(self.samples), self.made_up,
            self.classes, self.lacks, self.shares is not None,
        )  # fmt: skip

    def serve(self, questions: BinaryIO, answers: BinaryIO) -> None:
        """Answer one question after the other."""
        kind: Any = wire.Question
        while question := wire.read(questions, kind):
            wire.write(answers, self.reply(question))

    def reply(self, question: wire.Question) -> Reply:
        """What a question is answered with."""
        try:
            if isinstance(question, wire.Compile):
                return self._graph(question.probabilities)
            if isinstance(question, wire.Write):
                return wire.Written(as_skops(self.opened.model))
            rows = Batch(wire.unpacked(question.rows))
            return wire.Answers(wire.packed(self._predict(question.probabilities)(rows)))
        except BadInput as error:
            return wire.Bad(error.message, error.column, error.row)
        except Refusal as error:
            return wire.Refused(error.reason, error.message)
        except NoGraph as error:
            return wire.Failed(str(error))
        except Exception as error:
            return wire.Failed(f"{type(error).__name__}: {error}")

    def _predict(self, probabilities: bool) -> Predict:
        return self.shares if probabilities and self.shares else self.opened.predict

    def _graph(self, probabilities: bool) -> wire.Graph:
        opened = self.opened
        made = compile_model(opened.model, opened.schema, opened.method, probabilities)
        content = bytes(made.proto.SerializeToString())
        return wire.Graph(content, wire.packed(made.critical), made.kind)


def _limit(seconds: int) -> None:
    """So much of a processor's time, and no longer than who started this."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):  # Linux
        prctl(PDEATHSIG, signal.SIGKILL)


def _releases() -> list[tuple[str, str]]:
    found = []
    for name in REPORTED:
        try:
            found.append((name, installed(name)))
        except PackageNotFoundError:
            continue
    return found
