"""Versions of other releases: opened in an environment of theirs, and served here.

The model is asked there, and compiled there. What serves here was held against those answers: the
graph, or, where there is none, the same files opened by the releases that run here.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from bentos.admission import probes
from bentos.admission.compiling import PROOF_SECONDS
from bentos.admission.forms import leave_opened
from bentos.admission.making import Asked, Made, by_graph
from bentos.admission.proof import prove
from bentos.admission.verdict import PACKAGE
from bentos.flavors.elsewhere import wire
from bentos.flavors.elsewhere.start import START
from bentos.flavors.graphs import Compiled, NoGraph
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import shares_of
from bentos.refusal import Refusal
from bentos.serving.release import Probabilities
from bentos.settings import AdmissionSettings
from bentos.tensors import BadInput, Batch

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ANY_REPLY: Any = wire.Reply


class Tried(NamedTuple):
    """A model that was tried, and what serves of it; `note` tells how it was opened."""

    asked: Asked
    made: Made
    note: str


class Failure(Exception):
    """What the other process could not do."""


class Elsewhere:
    """A version that is open in another environment. Raises Refusal where it cannot be."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", questions: BinaryIO, answers: BinaryIO
    ) -> None:
        self._process, self._questions, self._answers = process, questions, answers
        self.opened = self._told(wire.Opened)

    def asked(self) -> Asked:
        """It, with its own answers."""
        opened = self.opened
        shares = partial(self.predict, probabilities=True) if opened.shares else None
        return Asked(
            opened.schema, Batch(wire.unpacked(opened.samples)), self.predict,
            Probabilities(opened.classes, shares, opened.lacks), opened.made_up,
        )  # fmt: skip

    def check(self) -> None:
        """Raise Refusal where the other process has ended."""
        if self._process.poll() is not None:
            raise self._ended()

    @property
    def releases(self) -> str:
        """Those that answer there."""
        return ", ".join(f"{name} {release}" for name, release in self.opened.releases.items())

    def predict(self, rows: Batch, probabilities: bool = False) -> Batch:
        """The model's own answers. Raises BadInput."""
        self._ask(wire.Ask(wire.packed(rows), probabilities))
        return Batch(wire.unpacked(self._told(wire.Answers).rows))

    def compiled(self, probabilities: bool) -> Compiled:
        """The model as a graph. Raises NoGraph."""
        from onnx import ModelProto

        self._ask(wire.Compile(probabilities))
        try:
            graph = self._told(wire.Graph)
        except Failure as error:
            raise NoGraph(str(error)) from error
        proto = ModelProto.FromString(graph.proto)
        return Compiled(proto, wire.unpacked(graph.critical), graph.kind)

    def _ask(self, question: wire.Question) -> None:
        try:
            wire.write(self._questions, question)
        except BrokenPipeError:
            raise self._ended() from None

    def _told(self, kind: type[Any]) -> Any:
        said: Any = wire.read(self._answers, ANY_REPLY)
        match said:
            case None:
                raise self._ended()
            case wire.Refused():
                raise Refusal(said.reason, said.message)
            case wire.Bad():
                raise BadInput(said.message, said.column, said.row)
            case wire.Failed():
                raise Failure(said.message)
        if not isinstance(said, kind):
            raise Failure(f"{type(said).__name__} is no answer to that")
        return said

    def _ended(self) -> Refusal:
        status = self._process.wait()
        if status in (-signal.SIGXCPU, -signal.SIGKILL):
            return Refusal(
                "deadline",
                "opened with its own releases, it took more time than it may "
                "(admission.deadline_seconds): a smaller model, or more time",
            )
        how = signal.Signals(-status).name if status < 0 else f"the exit status {status}"
        return Refusal("crash", f"opening it with its own releases ended with {how}")


@contextmanager
def elsewhere(python: Path, folder: Path, settings: AdmissionSettings) -> Iterator[Elsewhere]:
    """A version, open in an environment until the block ends."""
    seconds = str(max(1, round(settings.deadline_seconds)))
    command = [str(python), "-s", "-W", "ignore", "-c", START]
    process = subprocess.Popen(  # noqa: S603
        [*command, str(PACKAGE.parent), str(folder), seconds],
        env=ONE_THREAD,
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process as started:
        try:
            if started.stdin and started.stdout:
                yield Elsewhere(
                    started, cast(BinaryIO, started.stdin), cast(BinaryIO, started.stdout)
                )
        finally:
            process.kill()


def serve(there: Elsewhere, mlmodel: MLmodel, settings: AdmissionSettings, place: Path) -> Tried:
    """What serves a version here with the answers that it gives there. Raises Refusal."""
    asked, kind = there.asked(), there.opened.kind
    try:
        if not settings.compile:
            raise NoGraph("admission.compile is off")
        made = by_graph(asked, there.compiled, place)
    except NoGraph as error:
        there.check()
        made = _opened_here(asked, mlmodel, place, f"{kind} has no graph there: {error}")
    return Tried(asked, made, f"{there.opened.note}, with {there.releases}".lstrip(", "))


def _probes(asked: Asked) -> Batch:
    try:
        return probes.rows(asked.schema, asked.samples)
    except ValueError:  # of arrays none are made
        return asked.samples


def _opened_here(asked: Asked, mlmodel: MLmodel, place: Path, why: str) -> Made:
    """The same files, opened by the releases that run here, where these answer alike."""
    here = installed("scikit-learn")
    try:
        opened = open_model(mlmodel)
        if opened.schema != asked.schema:
            raise Refusal("library", f"its columns are others: train it again with {here}")
        shares = Probabilities(*shares_of(opened, asked.samples))
        rows = _probes(asked)
        wanted, found = asked.predict, opened.predict
        if asked.probabilities.predict and shares.predict:
            wanted, found = asked.probabilities.predict, shares.predict
        proof = prove(wanted, found, rows, seconds=PROOF_SECONDS)
        if not proof.holds:
            raise Refusal("library", f"{proof}: train it again with {here}")
        native = leave_opened(mlmodel, opened, asked.samples, place)
    except Refusal as error:
        message = f"{why}; and scikit-learn {here} cannot stand in for it: {error.message}"
        raise Refusal("library", message) from error
    return Made(native, "native", f"{why}; opened here, {proof}", shares)
