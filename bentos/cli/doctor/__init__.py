"""`ascenso doctor`: whether all is there that the services need, and what to set where not."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from bentos.cli.console import for_scripts, json_option, outcome
from bentos.cli.doctor import (
    admission,
    machine,
    packages,
    ports,
    registry,
    sandbox,
    secrets,
    store,
    webhooks,
)
from bentos.cli.doctor.findings import Chain, Finding, examine
from bentos.cli.doctor.ground import Ground
from bentos.cli.promotion import registry_address, registry_option
from bentos.cli.services import Services, services_option
from bentos.settings import Settings

SUBJECTS: Mapping[str, tuple[Chain, ...]] = {
    "registry": registry.CHAINS,
    "store": store.CHAINS,
    "ports": ports.CHAINS,
    "machine": machine.CHAINS,
    "webhooks": webhooks.CHAINS,
    "sandbox": sandbox.CHAINS,
    "packages": packages.CHAINS,
    "secrets": secrets.CHAINS,
    "admission": admission.CHAINS,
}
COLORS = {"ok": "green", "warning": "yellow", "failure": "red"}
INDENT = 9
EXIT_CODES = (
    "Exit codes: 0 nothing failed, whatever was warned of; 1 something failed; 2 the command line "
    "is wrong."
)


@click.command(epilog=EXIT_CODES)
@click.argument("subjects", nargs=-1, type=click.Choice(tuple(SUBJECTS)))
@json_option
@registry_option
@services_option
@click.pass_context
def doctor(
    context: click.Context,
    subjects: tuple[str, ...],
    registry_uri: str | None,
    services: Services,
) -> None:
    """Look whether all is there that the services need; all SUBJECTS, if none is named.

    A tiny model is registered under a name of its own, admitted and removed again. Nothing else
    is changed.
    """
    wanted = {name: SUBJECTS[name] for name in subjects or SUBJECTS}
    found = []
    for finding in _findings(wanted, registry_uri, services.address):
        found.append(finding)
        if not for_scripts():
            _show(finding)
    outcome([asdict(finding) for finding in found])
    if any(finding.state == "failure" for finding in found):
        context.exit(1)


def _findings(
    subjects: Mapping[str, Iterable[Chain]], registry_uri: str | None, services: str
) -> Iterator[Finding]:
    try:
        settings = Settings()
    except ValidationError as error:
        yield from map(_unusable, error.errors())
        return
    except SettingsError as error:  # a list that is no JSON
        yield Finding("settings", "configs", "failure", str(error), "set it as JSON")
        return
    with closing(Ground(settings, registry_address(registry_uri), services)) as ground:
        yield from examine(ground, subjects)


def _unusable(problem: Mapping[str, object]) -> Finding:
    """A setting that cannot be used: then nothing starts, and nothing else can be looked at."""
    where = problem["loc"]
    names = [str(part) for part in where] if isinstance(where, tuple) else []
    variable = f"ASCENSO_{'__'.join(names).upper()}"
    text = f"{'.'.join(names) or 'it'}: {problem['msg']}"
    return Finding("settings", "configs", "failure", text, f"set {variable}, or mend its file")


def _show(finding: Finding) -> None:
    state = click.style(f"{finding.state:<{INDENT}}", fg=COLORS[finding.state], bold=True)
    click.echo(f"{state}{finding.subject}: {finding.check}: {finding.text}")
    if finding.mend:
        click.echo(f"{'':<{INDENT}}-> {finding.mend}")
