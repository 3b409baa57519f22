"""Where a serving process has versions judged: in processes that share nothing with its calls."""

import os
import subprocess
import sys
from collections.abc import Mapping
from socket import AF_UNIX, SHUT_WR, SOCK_STREAM, send_fds, socket, socketpair
from threading import Lock

import msgspec

from bentos.admission.cache import placed
from bentos.admission.server import ASKING, INTERNAL, WAITS, Ended
from bentos.admission.verdict import Admitted, Case, Refused, Verdict, read, write
from bentos.refusal import Reason
from bentos.registry.sources import StoreUnavailable
from bentos.tracing import took

IDLE_SECONDS = 120.0
TRIES = 3  # a server that ends, as an idle one does, may still take one, and fail the next
STARTING = 120.0  # seconds that a server may take until it answers, beyond what it judges
# What a library may need to start. No credential is among them.
ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
HINTS: Mapping[str, str] = {
    "SIGKILL": "the system was short of memory, or somebody ended it; when that is over, promote "
    "it again",
    f"the exit status {INTERNAL}": "an error of Ascenso's own: the service's log has it, "
    "please report it",
    "SIGABRT": "a library gave up, often for want of memory (admission.memory_mb)",
}
OTHER_HINT = "a library crashed at its files; save it again with that library, or train again"


class Office:
    """Has cases judged, each in a process of its own; see `bentos.admission.server`.

    May be asked from several threads. The server starts when it is needed, and ends when idle.
    """

    def __init__(self, niceness: int = 0, idle_seconds: float = IDLE_SECONDS) -> None:
        self._arguments = str(niceness), str(idle_seconds)
        self._line: socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._flavors: set[str] = set()
        self._closed = False
        self._lock = Lock()

    def prepare(self) -> None:
        """Let the server start, if it does not run, while the files are fetched."""
        with self._lock:
            if not self._closed:
                self._running()

    def judge(self, case: Case) -> Verdict:
        """What the admission of a case ends in; it is also left at its place.

        A process that hangs or crashes is a refusal. Raises StoreUnavailable for what passes.
        """
        ended = next(filter(None, (self._ask(case) for _ in range(TRIES))), None)
        took(ended.steps if ended else ())
        if ended is None or self._closed:
            raise StoreUnavailable("the process that judges versions was ended")
        if ended.how == "trouble":
            raise StoreUnavailable(ended.detail)
        verdict = read(case.place) if ended.how == "judged" else _refused(case, ended)
        if verdict is None:
            raise StoreUnavailable(f"{case.place} was removed meanwhile")
        if isinstance(verdict, Admitted):
            self._flavors.add(verdict.flavor)  # the server imports what it needs, once
        return verdict

    def close(self) -> None:
        """End the server, and what it judges."""
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, case: Case) -> Ended | None:
        """How the judging ended, or None where the server did before."""
        rules = case.settings
        ours, theirs = socketpair(AF_UNIX, SOCK_STREAM)
        with ours:
            with theirs, self._lock:
                if self._closed:
                    return None
                asking = " ".join(sorted(self._flavors)).encode().ljust(ASKING)
                try:
                    send_fds(self._running(), [asking], [theirs.fileno()])
                except OSError:
                    self._end()
                    return None
            ours.settimeout(WAITS * rules.deadline_seconds + STARTING)
            try:
                ours.sendall(case.encode())
                ours.shutdown(SHUT_WR)
                with ours.makefile("rb") as answer:
                    return msgspec.json.decode(answer.read(), type=Ended)
            except (OSError, msgspec.DecodeError):
                return None

    def _running(self) -> socket:
        if self._line is None or self._server is None or self._server.poll() is not None:
            self._end()
            self._line, theirs = socketpair(AF_UNIX, SOCK_STREAM)
            with theirs:
                self._server = self._started(theirs)
        return self._line

    def _started(self, line: socket) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "bentos.admission.server"]
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        return subprocess.Popen(  # noqa: S603
            [*command, str(line.fileno()), *self._arguments],
            env=kept | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            pass_fds=[line.fileno()],
            process_group=0,  # Ctrl-C is the service's to hear
        )

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None


def _refused(case: Case, ended: Ended) -> Refused:
    """The refusal of what hung or crashed, left at its place."""
    reason: Reason = "deadline" if ended.how == "deadline" else "crash"
    rules = case.settings
    message = f"judging it ended with {ended.detail}: {HINTS.get(ended.detail, OTHER_HINT)}"
    if reason == "deadline":
        message = (
            f"judging it took more than {rules.deadline_seconds:g} s of a processor, or {WAITS} "
            "times as long (admission.deadline_seconds): a smaller model, or more time"
        )
    refused = Refused(case.key, reason, message)
    with placed(case.place) as place:
        write(refused, place)
    return refused
