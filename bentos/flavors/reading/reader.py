"""Pickles read as data: what comes out is a model that was looked at."""

import io
from dataclasses import dataclass

from bentos.flavors.reading import constructors as _registered  # noqa: F401
from bentos.flavors.reading.checks import check
from bentos.flavors.reading.errors import Damaged
from bentos.flavors.reading.limits import LIMITS, Limits
from bentos.flavors.reading.machine import Machine


@dataclass(frozen=True)
class Read:
    """What was in a file."""

    model: object
    names: frozenset[str]  # of all classes and functions that the file names
    sklearn: frozenset[str] = frozenset()  # the releases that say they wrote it


def read_pickle(data: bytes, limits: Limits = LIMITS) -> Read:
    """Build the model that a pickle describes, without running anything of it.

    Raises `Unreviewed` where it names what nobody has looked at, and `Damaged` where it is
    broken, or made to break its reader.
    """
    if len(data) > limits.bytes:
        raise Damaged(f"the file has {len(data):,} bytes; {limits.bytes:,} are read")
    machine = Machine(io.BytesIO(data), limits)
    return finished(machine, machine.run())


def finished(machine: Machine, model: object) -> Read:
    """What a machine has read, looked at."""
    check(model, machine.limits)
    return Read(model, frozenset(machine.names), frozenset(machine.versions))
