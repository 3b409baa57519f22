"""The installed packages: all there, and those of the lock."""

import re
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed
from pathlib import Path

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground

LOCK = Path(__file__).parents[3] / "requirements.lock"
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
SHOWN = 5
AGAIN = "rm .venv/.installed && make up"


def wanted() -> list[str]:
    """What this package asks for; nothing where its code was copied, as into an image."""
    try:
        return requires("ascenso") or []
    except PackageNotFoundError:
        return []


def needed(ground: Ground) -> Found:
    """All that serving needs is installed."""
    names = [re.split(r"[^\w.-]", one)[0] for one in wanted() if "extra ==" not in one]
    if lacking := [name for name in names if _installed(name) is None]:
        return failure(f"not installed: {', '.join(lacking[:SHOWN])}", AGAIN)
    return ok(f"the {len(names)} packages that serving needs are installed")


def locked(ground: Ground) -> Found:
    """What is installed has the locked version: a version of a model is tried with it."""
    if not LOCK.exists():
        return ok("there is no lock beside the code to compare with")
    pins = PIN.findall(LOCK.read_text())
    found = {name: (pin, _installed(name)) for name, pin in pins}
    other = [
        f"{name} {now}, not {pin}" for name, (pin, now) in found.items() if now not in (None, pin)
    ]
    if other:
        more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        return warning(f"{', '.join(other[:SHOWN])}{more}", AGAIN)
    there = sum(now is not None for _, now in found.values())
    return ok(f"{there} of {len(pins)} locked packages are installed, as locked")


def _installed(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None


CHAINS: tuple[Chain, ...] = ((needed, locked),)
