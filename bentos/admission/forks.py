"""Processes that are forked, and end with the one that forked them."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import NoReturn

PDEATHSIG = 1
FAILED = 1
WAITS = 4  # times its seconds may pass on a busy machine


class Apart(Exception):
    """What a process could not do; the message says why."""


def fork() -> int:
    """As `os.fork`; the new process ends with this one."""
    parent, made = os.getpid(), os.fork()
    if made == 0:
        if prctl := getattr(ctypes.CDLL(None), "prctl", None):  # Linux
            prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
    return made


def apart(call: Callable[[], bytes], seconds: float) -> bytes:
    """What a call gives in a process of its own, whose memory and state go with it.

    It has so many seconds of a processor, and WAITS times as long in all. Raises Apart where it
    fails, crashes, or is late.
    """
    hears, says = os.pipe()
    process = fork()
    if process == 0:
        os.close(hears)
        _answer(call, seconds, says)
    os.close(says)
    with os.fdopen(hears, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status == 0:
        return said
    if status == FAILED:
        raise Apart(said.decode(errors="replace"))
    if status in (-signal.SIGPROF, -signal.SIGALRM):
        raise Apart(f"it takes more than {seconds:g} s of a processor, or {WAITS} times as long")
    how = signal.Signals(-status).name if status < 0 else f"the exit status {status}"
    raise Apart(f"it ended with {how}")


def _answer(call: Callable[[], bytes], seconds: float, says: int) -> NoReturn:
    status = FAILED
    try:
        for number in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, WAITS * seconds)
        with os.fdopen(says, "wb") as pipe:
            try:
                made, code = call(), 0
            except Exception as error:
                made, code = (str(error) or type(error).__name__).encode(), FAILED
            pipe.write(made)
        status = code
    finally:
        os._exit(status)
