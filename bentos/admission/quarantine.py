"""Versions whose own code has to run: once, in a process of its own that is shut in.

What comes out of it is data, and serves only where it answers as the model does in there: a graph,
or a file of skops that holds reviewed types alone.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from bentos.admission.elsewhere import (
    ONE_THREAD,
    Elsewhere,
    Failure,
    asking,
    line,
    program,
    seconds,
)
from bentos.admission.forms import SKOPS, leave_skops
from bentos.admission.making import Asked, Made
from bentos.admission.stand_ins import Tried, graph_of, proved
from bentos.admission.verdict import PACKAGE
from bentos.flavors import reading
from bentos.flavors.graphs import NoGraph
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import reopen
from bentos.flavors.probabilities import shares_of
from bentos.refusal import Reason, Refusal
from bentos.sandbox import Limits, Sandbox, python_paths, unavailable
from bentos.sandbox.limits import MEGABYTE
from bentos.serving.release import Probabilities
from bentos.settings import Rules

NOTE = "opened in quarantine"
HOW = "in quarantine"
OF_PROGRAM = 512 * MEGABYTE  # that Python and the libraries take by themselves
SPARE = 2  # times the memory may be asked for meanwhile, as outside
OF_CODE: frozenset[Reason] = frozenset({"pickle", "code"})  # refusals of what has to run
ISOLATED = "only a process of its own can serve it, where models.isolated permits that"


def named(model: str, settings: Rules) -> bool:
    """Whether the code of a model's versions may run in quarantine."""
    return any(fnmatchcase(model, pattern) for pattern in settings.quarantine)


def in_quarantine(
    python: Path | None, mlmodel: MLmodel, settings: Rules, place: Path, why: Refusal
) -> Tried:
    """What serves a version as it answers in quarantine; else it is refused, as before.

    A Python is given where it needs releases of its own.
    """
    try:
        with _opened(python or Path(sys.executable), mlmodel.folder, settings, why) as there:
            asked = there.asked()
            made = _made(there, asked, mlmodel, settings, place)
            return Tried(asked, made, f"{NOTE}, with {there.releases}" if python else NOTE)
    except (Refusal, MemoryError, OSError):
        raise
    except Exception as error:  # of what comes out, anything may be wrong
        said = line(f"{type(error).__name__}: {error}")
        raise Refusal("crash", f"{NOTE}, what came out of it is not usable: {said}") from error


def _made(there: Elsewhere, asked: Asked, mlmodel: MLmodel, settings: Rules, place: Path) -> Made:
    try:
        return graph_of(there, asked, settings, place)
    except NoGraph as error:
        there.check()
        return _skops(there, asked, mlmodel, place, str(error))


def _skops(there: Elsewhere, asked: Asked, mlmodel: MLmodel, place: Path, why: str) -> Made:
    """By a file of skops that was written in there, and holds reviewed types alone."""
    try:
        left = leave_skops(mlmodel, there.written(), place)
        reading.read_skops(left.file(SKOPS))
        opened = reopen(left, asked.schema)
        shares = Probabilities(*shares_of(opened, asked.samples))
        proof = proved(asked, opened.predict, shares)
    except (Failure, reading.Unreadable, Refusal) as error:
        message = f"{NOTE}, {why}; as skops: {_said(error)}; {ISOLATED}"
        raise Refusal("code", message) from error
    return Made(opened.predict, "native", f"{why}; as skops, {proof}", shares)


def _said(error: Exception) -> str:
    if isinstance(error, reading.Unreviewed):
        return f"{error.name} is not reviewed"
    return error.message if isinstance(error, Refusal) else str(error)


@contextmanager
def _opened(python: Path, folder: Path, settings: Rules, why: Refusal) -> Iterator[Elsewhere]:
    limits = Limits(
        memory=OF_PROGRAM + SPARE * settings.memory_mb * MEGABYTE, seconds=seconds(settings)
    )
    command = program(python, folder, settings, "run")
    missing = unavailable()
    if missing and not settings.quarantine_without_sandbox:
        raise Refusal(
            why.reason,
            f"{why.message}; it may be opened in quarantine, but no sandbox can be had here: "
            f"{missing}; admission.quarantine_without_sandbox: true does without",
        )
    if missing:
        process = limits.start(command, ONE_THREAD)
    else:
        ours = (PACKAGE, PACKAGE.with_name("training"))
        sandbox = Sandbox(limits, (*python_paths(python), *ours, folder), environment=ONE_THREAD)
        process = sandbox.start(command, subprocess.PIPE, subprocess.PIPE)
    with asking(process, HOW) as there:
        yield there
