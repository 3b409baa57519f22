"""`ascenso admit`: a version is judged before it is promoted, where the services look for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bentos.cli.console import json_option, outcome, say
from bentos.cli.errors import EXIT_CODES, Failed, Unreachable
from bentos.cli.promotion import find, registry, registry_option
from bentos.refusal import Refusal
from bentos.registry.client import Registry
from bentos.registry.digests import signed
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.settings import settings
from bentos.version import Version

if TYPE_CHECKING:
    from bentos.serving.release import Release


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@json_option
@registry_option
def admit(model: str, version: int, registry_uri: str | None) -> None:
    """Judge VERSION of MODEL on this machine, before it is promoted.

    It is fetched, checked, opened and compiled as the services do it, into their cache; an
    environment of other releases is built where it needs one. With the services' variables, as
    their user, a promotion then only opens it. Nothing is changed in the registry.
    """
    with registry(registry_uri) as opened, _passing():
        found = signed(opened, find(opened, model, version))
        named = {"model": model, "version": found.version}
        try:
            release, seconds = _admitted(opened, found)
        except Refusal as refusal:
            why = {"reason": refusal.reason, "message": refusal.message}
            outcome(named | {"admitted": False} | why)
            raise Failed(f"{found} was refused: {refusal}") from refusal
    say(f"{found} may serve, as {release.runs}: {release.note or 'no remarks'} ({seconds:.1f} s)")
    for warning in release.warnings:
        say(f"Warning: {warning}")
    how = {"runs": release.runs, "note": release.note, "warnings": list(release.warnings)}
    outcome(named | {"admitted": True} | how)


def _admitted(opened: Registry, version: Version) -> "tuple[Release, float]":
    # What opens models takes seconds to import, which no other command shall pay.
    from bentos.scoring.model import contract_of, judging

    started = time.monotonic()
    with judging(opened, settings()) as store:
        say(f"Fetching {version}")
        folder = store.fetched(version)
        say(f"Judging it{_environment(folder)}")
        release = store.admit(contract_of(version.name, settings()), version)
    return release, time.monotonic() - started


def _environment(folder: Path) -> str:
    """That it is opened with other releases, which may have to be installed first."""
    from bentos.admission.wanted import minor, wanted

    found = wanted(folder)
    if found is None or found.minor == minor(installed("scikit-learn")):
        return ""
    return f", with the releases of scikit-learn {found.stored['scikit-learn']}"


@contextmanager
def _passing() -> Iterator[None]:
    """What may be otherwise at the next try, as an error of a command."""
    try:
        yield
    except (OSError, StoreUnavailable, FileMissing) as error:
        raise Unreachable(f"{error}; nothing was judged") from error
