"""A version that is open in a process of its own, and asked over a Unix socket.

What the process says is trusted by nobody: it is bounded, in time too, and checked.
"""

import io
import signal
import socket
import subprocess
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, BinaryIO, TypeAlias, TypeVar, cast

import psutil
from msgspec import MsgspecError

from bentos.flavors.elsewhere import wire
from bentos.refusal import Refusal
from bentos.serving.failures import Failing
from bentos.tensors import BadInput, Batch

Start: TypeAlias = "Callable[[int], subprocess.Popen[bytes]]"  # with a socket for both directions
Question: TypeAlias = wire.Question | wire.Load
T = TypeVar("T")
REPLY: Any = wire.Reply | wire.Ready
KINDS = "biufcUSMmO"  # of arrays that are answers
ENDING = 5.0  # seconds that it may take to end, once it says nothing any more
SHELL = 128  # and the signal's number: a status, where another process waited for it
MOST = 64 << 20  # bytes of what it answers to one batch: a process that serves reads them
LONGEST = 1000  # characters that it may say of an error
# A process ends with the thread that started it, so that is one that ends with this process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="processes")


class Process:
    """A process, from now until `close`, or until nobody has this any more. Thread-safe.

    Each question has its deadline: beyond that, or with an answer that is none, it is killed.
    Raises Failing.
    """

    def __init__(self, start: Start, memory_mb: int, held: BinaryIO | None = None) -> None:
        """Start it; `held` is a file that stays open for as long as it is there."""
        self._memory_mb = memory_mb
        self._lock = Lock()
        self._failed: Failing | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._popen = _starter.submit(start, theirs.fileno()).result()
            except OSError as error:
                _close(ours, held)
                raise Failing("crash", f"its process cannot be started: {error}") from error
        self._line = _Line(ours)
        self._answers = io.BufferedReader(self._line)
        self.close = weakref.finalize(self, _end, self._popen, ours, held)

    def ask(self, question: Question | None, kind: type[T], seconds: float) -> T:
        """The reply to a question, or to none, of a kind.

        Raises BadInput, Refusal, Failed, and Failing.
        """
        with self._lock:
            if self._failed:  # what comes after says only that it is gone
                raise self._failed
            try:
                return self._reply(question, kind, seconds)
            except Failing as error:
                self._failed = error
                raise

    def check(self) -> None:
        """Raise Failing where it has ended."""
        if self._popen.poll() is not None:
            raise self._ended()

    @property
    def memory(self) -> int:
        """The bytes that it takes, with all that it started."""
        try:
            first = psutil.Process(self._popen.pid)
            return sum(int(one.memory_info().rss) for one in (first, *first.children(True)))
        except psutil.Error:
            return 0

    def _reply(self, question: Question | None, kind: type[T], seconds: float) -> T:
        said = self._said(question, seconds)
        match said:
            case wire.Refused():
                raise Refusal(said.reason, said.message[:LONGEST])
            case wire.Bad():
                raise BadInput(said.message[:LONGEST], said.column[:LONGEST], said.row)
            case wire.Failed() if said.message.startswith(MemoryError.__name__):
                self.close()
                most = f"{self._memory_mb} MB (processes.memory_mb)"
                raise Failing("memory", f"its process wanted more than {most}")
            case wire.Failed():
                raise Failed(said.message[:LONGEST])
        if not isinstance(said, kind):
            raise self._odd(f"{type(said).__name__} is no {kind.__name__}")
        return said

    def _said(self, question: Question | None, seconds: float) -> wire.Reply | wire.Ready:
        """Whatever it says, in time. Raises Failing."""
        self._line.until = time.monotonic() + seconds
        try:
            if question is not None:
                wire.write(cast(Any, self._line), question)
            said = wire.read(cast(Any, self._answers), REPLY, MOST)
        except TimeoutError:
            self.close()
            late = f"one batch took more than {seconds:g} s (processes.batch_seconds)"
            raise Failing("deadline", late) from None
        except OSError:
            raise self._ended() from None
        except (MsgspecError, ValueError, RecursionError, MemoryError) as error:
            raise self._odd(str(error)) from error
        if said is None:
            raise self._ended()
        return cast("wire.Reply | wire.Ready", said)

    def predict(self, rows: Batch, seconds: float, probabilities: bool = False) -> Batch:
        """The model's own answers, one a row. Raises as `ask`."""
        said = self.ask(wire.Ask(wire.packed(rows), probabilities), wire.Answers, seconds)
        try:
            answers = Batch(wire.unpacked(said.rows))
        except Exception as error:
            raise self._odd(str(error)) from error
        if answers.size != rows.size:
            raise self._odd(f"{answers.size} answers to {rows.size} rows")
        if any(column.dtype.kind not in KINDS for column in answers.values()):
            raise self._odd("answers of a kind that there is not")
        return answers

    def _odd(self, why: str) -> Failing:
        """Its answers are none, so that nothing that follows can be believed."""
        self.close()
        said = f"its process gave no answer that can be read: {why[:LONGEST]}"
        self._failed = Failing("answer", said)
        return self._failed

    def _ended(self) -> Failing:
        try:
            status = self._popen.wait(ENDING)
        except subprocess.TimeoutExpired:  # it closed its socket, and goes on
            status = -signal.SIGKILL
        self.close()
        number = -status if status < 0 else status - SHELL  # as bubblewrap says it
        try:
            how = signal.Signals(number).name
        except ValueError:
            how = f"the exit status {status}"
        return Failing("crash", f"its process ended with {how}")


class Failed(Exception):
    """What the process could not do; it goes on."""


class _Line(io.RawIOBase):
    """A socket, read and written until a time of the monotonic clock. Raises TimeoutError."""

    def __init__(self, held: socket.socket) -> None:
        self._socket = held
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        self._socket.settimeout(self._left())
        return self._socket.recv_into(into)

    def write(self, content: Any) -> int:
        self._socket.settimeout(self._left())
        self._socket.sendall(content)
        return len(content)

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _end(process: "subprocess.Popen[bytes]", *held: socket.socket | BinaryIO | None) -> None:
    """Kill it, and all that it started."""
    process.kill()
    process.wait()
    _close(*held)


def _close(*held: socket.socket | BinaryIO | None) -> None:
    for one in held:
        if one is not None:
            one.close()
