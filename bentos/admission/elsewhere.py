"""A version that another process opens, with releases of its own or shut in, and answers.

Nothing that is said there is taken for true.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from bentos.admission.making import Asked
from bentos.admission.verdict import PACKAGE
from bentos.flavors.elsewhere import wire
from bentos.flavors.elsewhere.graph_checks import Strange, parsed
from bentos.flavors.elsewhere.start import START
from bentos.flavors.graphs import Compiled, NoGraph
from bentos.refusal import Refusal
from bentos.serving.release import Probabilities
from bentos.settings import Rules
from bentos.tensors import BadInput, Batch

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ANY_REPLY: Any = wire.Reply
LONGEST = 2000  # letters of what is said there
ENDING = 10.0  # seconds that a process may take to end, once it says nothing any more
OF_SHELLS = 128  # and the signal's number: a status, where another process waited for it


class Failure(Exception):
    """What the other process could not do."""


class Elsewhere:
    """A version that is open in another process; `how` says it in words.

    Raises Refusal where it cannot be opened, and where that process ends or says no answer.
    """

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        questions: BinaryIO,
        answers: BinaryIO,
        how: str,
    ) -> None:
        self._process, self._questions, self._answers = process, questions, answers
        self._how = how
        try:
            self.opened: wire.Opened = self._reply(wire.Opened)
        except (Failure, BadInput) as error:
            raise self._garbled(str(error)) from error

    def asked(self) -> Asked:
        """It, with its own answers."""
        opened = self.opened
        shares = partial(self.predict, probabilities=True) if opened.shares else None
        return Asked(
            opened.schema, self._batch(opened.samples), self.predict,
            Probabilities(opened.classes, shares, opened.lacks), opened.made_up,
        )  # fmt: skip

    def check(self) -> None:
        """Raise Refusal where the other process has ended."""
        if self._process.poll() is not None:
            raise self._ended()

    @property
    def releases(self) -> str:
        """Those that answer there."""
        named = (f"{name} {release}" for name, release in self.opened.releases.items())
        return line(", ".join(named))

    def predict(self, rows: Batch, probabilities: bool = False) -> Batch:
        """The model's own answers. Raises BadInput."""
        self._ask(wire.Ask(wire.packed(rows), probabilities))
        answers = self._batch(self._reply(wire.Answers).rows)
        if answers.size != rows.size:
            raise self._garbled(f"it answers {rows.size} rows with {answers.size}")
        return answers

    def compiled(self, probabilities: bool) -> Compiled:
        """The model as a graph. Raises NoGraph."""
        self._ask(wire.Compile(probabilities))
        try:
            graph = self._reply(wire.Graph)
        except Failure as error:
            raise NoGraph(str(error)) from error
        try:
            return Compiled(parsed(graph.proto), wire.unpacked(graph.critical), graph.kind)
        except (Strange, wire.Garbled) as error:
            raise self._garbled(f"its graph is refused: {error}") from error

    def written(self) -> bytes:
        """The model as a file of skops, which may hold anything. Raises Failure."""
        self._ask(wire.Write())
        return bytes(self._reply(wire.Written).skops)

    def _ask(self, question: wire.Question) -> None:
        try:
            wire.write(self._questions, question)
        except BrokenPipeError:
            raise self._ended() from None

    def _reply(self, kind: type[Any]) -> Any:
        try:
            said: Any = wire.read(self._answers, ANY_REPLY)
        except wire.Garbled as error:
            raise self._garbled(str(error)) from error
        match said:
            case None:
                raise self._ended()
            case wire.Refused():
                raise Refusal(said.reason, line(said.message))
            case wire.Bad():
                raise BadInput(line(said.message), line(said.column), said.row)
            case wire.Failed():
                raise Failure(line(said.message))
        if not isinstance(said, kind):
            raise self._garbled(f"{type(said).__name__} is no answer to that")
        return said

    def _batch(self, columns: dict[str, wire.Packed]) -> Batch:
        try:
            return Batch(wire.unpacked(columns))
        except ValueError as error:
            raise self._garbled(str(error)) from error

    def _garbled(self, what: str) -> Refusal:
        return Refusal("crash", line(f"opened {self._how}, it does not do as it should: {what}"))

    def _ended(self) -> Refusal:
        try:
            status = self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            return self._garbled("it says nothing any more")
        number = -status if status < 0 else status - OF_SHELLS
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return Refusal(
                "deadline",
                f"opened {self._how}, it took more time than it may "
                "(admission.deadline_seconds): a smaller model, or more time",
            )
        known = number in set(signal.Signals)
        ended = signal.Signals(number).name if known else f"the exit status {status}"
        return Refusal("crash", f"opening it {self._how} ended with {ended}")


@contextmanager
def elsewhere(python: Path, folder: Path, settings: Rules) -> Iterator[Elsewhere]:
    """A version, open in an environment until the block ends."""
    process = subprocess.Popen(  # noqa: S603
        program(python, folder, settings, "read"),
        env=ONE_THREAD,
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with asking(process, "with its own releases") as there:
        yield there


def program(python: Path, folder: Path, settings: Rules, way: Literal["read", "run"]) -> list[str]:
    """What opens a version for another process, and answers on its standard output."""
    command = [str(python), "-s", "-W", "ignore", "-c", START]
    return [*command, str(PACKAGE.parent), str(folder), str(seconds(settings)), way]


def seconds(settings: Rules) -> int:
    """Of a processor, that it may take."""
    return max(1, round(settings.deadline_seconds))


@contextmanager
def asking(process: "subprocess.Popen[bytes]", how: str) -> Iterator[Elsewhere]:
    """A version that this process opens, until the block ends."""
    with process as started:
        try:
            if started.stdin and started.stdout:
                yield Elsewhere(
                    started, cast(BinaryIO, started.stdin), cast(BinaryIO, started.stdout), how
                )
        finally:
            process.kill()


def line(text: str) -> str:
    """What was said there, as one line that may stand in a note."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * LONGEST])
    return " ".join(plain.split())[:LONGEST]
