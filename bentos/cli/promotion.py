"""`ascenso promote`: point a channel to a version, and wait until it serves."""

import getpass
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import click
import httpx
from pydantic import ValidationError

from bentos.cli.console import json_option, outcome, say
from bentos.cli.errors import EXIT_CODES, Failed, Unreachable
from bentos.cli.evidence import Evidence
from bentos.cli.services import Service, Services, services_option
from bentos.cli.waiting import Wait, followers
from bentos.promotion import channel as channels
from bentos.registry.access import AccessError
from bentos.registry.client import (
    NotInRegistry,
    Registry,
    RegistryRefused,
    RegistryUnavailable,
    Version,
)
from bentos.settings import Channel, settings

registry_option = click.option(
    "--registry",
    "registry_uri",
    envvar="MLFLOW_TRACKING_URI",
    show_default="configs/registry.yaml",
    show_envvar=True,
    help="Address of the MLflow server.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    help="Seconds to wait until it serves.",
)


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--stage",
    type=click.Choice(["Production", "Staging"]),
    help="Move it to a stage. [default: what configs/channels.yaml says of the model]",
)
@click.option("--alias", help="Move an alias to it.")
@click.option(
    "--to", metavar="MODEL", help="Promote a copy in another model, as MLflow's button does."
)
@click.option(
    "--when-agreed",
    "agreement",
    type=click.FloatRange(0, 1),
    help="First wait until the version, as challenger, agreed in this share of the calls.",
)
@click.option(
    "--after",
    "calls",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many calls --when-agreed looks at.",
)
@click.option(
    "--evidence-timeout",
    type=click.FloatRange(min=0),
    default=86400.0,
    show_default=True,
    help="Seconds to wait for those calls.",
)
@click.option("--no-wait", is_flag=True, help="Do not ask the services.")
@timeout_option
@json_option
@registry_option
@services_option
def promote(
    model: str,
    version: int,
    stage: str | None,
    alias: str | None,
    to: str | None,
    agreement: float | None,
    calls: int,
    evidence_timeout: float,
    no_wait: bool,
    timeout: float,
    registry_uri: str | None,
    services: Services,
) -> None:
    """Promote VERSION of MODEL, and wait until the services serve or refuse it.

    In a stage, the version that it replaces is archived. Where the newest version serves, an
    older one is copied, so that it is the newest.
    """
    name = to or model
    channel = _channel(name, stage, alias)
    with registry(registry_uri) as opened:
        found = find(opened, model, version)
        if agreement is not None:
            Evidence(agreement, calls).wait(services, found, evidence_timeout)
        if no_wait:
            promoted = Promoted(point(opened, found, channel, name), channel)
        else:
            promoted = bring(services, opened, found, channel, timeout, name)
    outcome(promoted.described())


@dataclass(frozen=True)
class Promoted:
    """What a channel points to now, and the services that serve it, if they were asked."""

    version: Version
    channel: Channel
    services: tuple[str, ...] = ()

    def described(self) -> dict[str, object]:
        """For scripts."""
        return {
            "model": self.version.name,
            "version": self.version.version,
            "channel": str(self.channel),
            "services": self.services,
        }


def bring(
    services: Services,
    registry: Registry,
    version: Version,
    channel: Channel,
    timeout: float,
    model: str,
) -> Promoted:
    """Promote a version and wait until it serves wherever the model's channel is followed.

    Raises Failed, before anything is changed, when no running service follows it.
    """
    running = services.of(model)
    before = followers(running, model, channel)
    if not before:
        raise _nobody(running, model, channel)
    version = point(registry, version, channel, model)
    for service in running:
        # Of an alias that moves, the services see nothing until they look at every model; of one
        # that is set to where it pointed they never do.
        if channel.alias:
            services.nudge(service)
    Wait(services, version, channel, before).until_live(timeout)
    return Promoted(version, channel, tuple(before))


def _nobody(running: list[Service], model: str, channel: Channel) -> Failed:
    followed = {
        f"{service.service} follows the {slot.channel}"
        for service in running
        for slot in service.releases
        if slot.model == model
    }
    return Failed(
        f"No running service follows the {channel} of {model} ({', '.join(sorted(followed))}); "
        "nothing was promoted"
    )


def point(registry: Registry, version: Version, channel: Channel, model: str) -> Version:
    """Point the channel of a model to a version; give the version that it points to then."""
    followed = settings().channel(model)
    channel = followed if str(followed) == str(channel) else channel
    pointed = channels.point(registry, version, channel, _user(), model)
    say(f"The {channel} of {model} is version {pointed.version} now")
    return pointed


def find(registry: Registry, model: str, number: int) -> Version:
    """A version of a model. Raises Failed, naming those that there are."""
    versions = registry.versions(model)
    for version in versions:
        if version.number == number:
            return version
    known = ", ".join(str(number) for number in sorted(version.number for version in versions))
    has = f"has versions {known} of {model}, but not {number}" if known else f"has no {model!r}"
    raise Failed(f"The registry at {registry.uri} {has}")


@contextmanager
def registry(uri: str | None) -> Iterator[Registry]:
    """The registry, its errors as those of a command."""
    try:
        opened = Registry(registry_address(uri))
        with closing(opened.http):
            yield opened
    except (NotInRegistry, RegistryRefused, AccessError) as error:
        raise Failed(str(error)) from error
    except (RegistryUnavailable, httpx.InvalidURL) as error:
        raise Unreachable(
            f"{error}. Start it with `make up`, or give its address: --registry, or the variable "
            "MLFLOW_TRACKING_URI"
        ) from error


def registry_address(uri: str | None) -> str:
    """The address that was given, or else the configured one, without a slash at its end."""
    return (uri or _default_uri()).rstrip("/")


def _default_uri() -> str:
    if port := os.environ.get("ASCENSO_MLFLOW_PORT"):
        return f"http://127.0.0.1:{port}"
    try:
        return settings().tracking_uri
    except ValidationError as error:
        raise Failed(f"The configuration cannot be used: {error}") from error


def _channel(model: str, stage: str | None, alias: str | None) -> Channel:
    if stage and alias:
        raise click.UsageError("Give --stage or --alias, not both")
    if not (stage or alias):
        return settings().channel(model)
    return Channel.model_validate({"alias": alias} if alias else {"stage": stage})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
