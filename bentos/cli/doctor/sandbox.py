"""What opening other people's models apart needs: a sandbox, uv, and an index of packages."""

import shutil
import subprocess
import sys
from pathlib import Path

from bentos.cli.doctor.findings import Chain, Found, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.sandbox import unavailable

SECONDS = 30.0
ASKED = "wheel"  # a small package that every index has


def user_namespaces(ground: Ground) -> Found:
    """A user without rights may have a namespace of their own."""
    said = _tried("unshare", "--user", "true")
    if said is None:
        return ok("this user may make user namespaces")
    mend = (
        "sysctl user.max_user_namespaces, or run the container with its seccomp profile loosened"
    )
    return warning(f"this user may make no user namespaces: {said}", mend)


def bubblewrap(ground: Ground) -> Found:
    """A process can be shut in."""
    why = unavailable()
    if why is None:
        return ok("bwrap shuts a process in")
    said, _, mend = why.rpartition(": ")
    return warning(said, mend)


def uv(ground: Ground) -> Found:
    """Environments of other releases can be made."""
    if _uv() is None:
        return warning("uv is not installed", "pip install uv")
    return ok(f"uv is {_uv()}")


def package_index(ground: Ground) -> Found:
    """There is somewhere to take packages from."""
    found = _uv()
    if found is None:
        return ok("without uv, none is asked")
    command = ("pip", "compile", "--no-deps", "--no-cache", "--quiet", "-")
    said = _tried(found, *command, given=ASKED)
    if said is None:
        return ok("the package index answers")
    return warning(
        f"the package index does not answer: {said}", "set UV_INDEX_URL to one that does"
    )


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv")


def _tried(*command: str, given: str = "") -> str | None:
    """What a command complains of, or None."""
    try:
        done = subprocess.run(  # noqa: S603 - what is written here
            command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-300:]


CHAINS: tuple[Chain, ...] = ((user_namespaces,), (bubblewrap,), (uv,), (package_index,))
