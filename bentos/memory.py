"""How much memory this process may have."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def allowed() -> int:
    """Bytes: all of the machine's, or what the cgroups around this process leave of them.

    Format: https://docs.kernel.org/admin-guide/cgroup-v2.html, `memory.max`.
    """
    return min([psutil.virtual_memory().total, *_limits()])


def _limits() -> Iterator[int]:
    place = CGROUPS / _own()
    while place.is_relative_to(CGROUPS):
        with suppress(OSError, ValueError):  # none here, or `max`
            yield int((place / "memory.max").read_text())
        place = place.parent


def _own() -> str:
    """The path of this process' own cgroup; in a container that sees no other, the root."""
    with suppress(OSError):
        for line in OWN.read_text().splitlines():
            if line.startswith("0::/"):
                return line.removeprefix("0::/")
    return ""
