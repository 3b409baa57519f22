"""The process that forks for each admission: `python -m bentos.admission.server`.

It has imported what admissions need, and was started without credentials. It ends when its office
does, or when nothing was asked for a while; what it forked ends with it.

An admission is two processes. One judges, and may hang, crash, or ask for too much; the other
waits for it, and says how it ended.
"""

import os
import resource
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Literal, NoReturn

import msgspec
import psutil

from bentos.admission.budgets import MEGABYTE
from bentos.admission.forks import fork
from bentos.admission.judging import judge
from bentos.admission.networks import NETWORKS, prepare
from bentos.admission.verdict import Case
from bentos.flavors.loading import preload
from bentos.process import settle
from bentos.settings import Rules
from bentos.tracing.steps import Step, collecting

ASKING = 256  # bytes, in which the office says what to import; a socket comes with them
WAITS = 5  # times the deadline, which counts the processor's time, may pass on a busy machine
SPARE = 2  # times the memory may be asked for meanwhile, as for compiling
INTERNAL = 70  # the exit status after an error of our own; EX_SOFTWARE of sysexits.h


class Ended(msgspec.Struct, frozen=True):
    """How a process ended that should have left a verdict, and did if `how` is `judged`.

    `detail` is what was in the way, or the name of the signal that a crash came with; `steps` are
    those of the judging.
    """

    how: Literal["judged", "trouble", "deadline", "crash"]
    detail: str = ""
    steps: tuple[Step, ...] = ()


def main() -> None:
    """Serve the office until it closes the socket, or for so many idle seconds."""
    office, idle = socket.socket(fileno=int(sys.argv[1])), float(sys.argv[3])
    os.nice(int(sys.argv[2]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    preload("sklearn")
    import bentos.flavors.graphs.compiling  # noqa: F401

    while select.select([office], [], [], idle)[0]:
        asked, found, _, _ = socket.recv_fds(office, ASKING, 1)
        if not asked:
            return
        with socket.socket(fileno=found[0]) as talk:
            for flavor in asked.decode().split():
                preload(flavor)
                if flavor in NETWORKS:
                    prepare()
            settle()
            if fork() == 0:
                office.close()
                _attend(talk)


def _attend(talk: socket.socket) -> NoReturn:
    """Let a case be judged, and say how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with talk.makefile("rb") as file:
        case = Case.decode(file.read())
    rules = case.settings
    hears, says = os.pipe()
    judging = fork()
    if judging == 0:
        talk.close()
        _judge(case, rules, says)
    os.close(says)
    late = _kill_after(WAITS * rules.deadline_seconds, judging)
    with os.fdopen(hears, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(judging, 0)[1])
    talk.sendall(said if said and status == 0 else msgspec.json.encode(_ended(status, late)))
    os._exit(0)


def _ended(status: int, late: list[bool]) -> Ended:
    if late or status == -signal.SIGPROF:
        return Ended("deadline")
    how = signal.Signals(-status).name if status < 0 else f"the exit status {status}"
    return Ended("crash", how)


def _kill_after(seconds: float, pid: int) -> list[bool]:
    """Set an alarm; the list is no longer empty once it rang."""
    rang: list[bool] = []

    def ring(*_: object) -> None:
        rang.append(True)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    return rang


def _judge(case: Case, rules: Rules, says: int) -> NoReturn:
    """Judge within limits; say whether a verdict was left."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if held := getattr(psutil.Process().memory_info(), "data", 0):  # Linux alone says it
        most = held + SPARE * rules.memory_mb * MEGABYTE
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.setitimer(signal.ITIMER_PROF, rules.deadline_seconds)
    try:
        with collecting() as steps:
            judge(case)
        ended = Ended("judged", steps=tuple(steps))
    except OSError as error:
        ended = Ended("trouble", f"what its admission left cannot be written: {error}")
    except Exception:  # it would be the same the next time, and must not go on in `main`
        traceback.print_exc()
        os._exit(INTERNAL)
    os.write(says, msgspec.json.encode(ended))
    os._exit(0)


if __name__ == "__main__":
    main()
