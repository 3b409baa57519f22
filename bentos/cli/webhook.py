"""`ascenso webhook`: have MLflow wake the services when an alias moves."""

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from bentos.cli.console import console, table
from bentos.cli.errors import EXIT_CODES, Failed
from bentos.cli.promotion import registry, registry_option
from bentos.cli.services import Services, services_option
from bentos.registry.address import without_password
from bentos.registry.webhooks import PATH, Delivery, Webhooks
from bentos.settings import settings

SECRET = "ASCENSO_WEBHOOK_SECRET"  # noqa: S105 - where it is, not what it is
CACHE_SECONDS = 60  # MLFLOW_WEBHOOK_CACHE_TTL: how long MLflow goes by what it knew before


@click.group()
def webhook() -> None:
    """Have MLflow wake the services when an alias moves.

    The services look once a second anyway, and MLflow tells of no change of a stage: this serves
    those who follow aliases and look more rarely.
    """


@webhook.command(epilog=EXIT_CODES)
@services_option
@registry_option
def install(services: Services, registry_uri: str | None) -> None:
    """Set the webhook up, or its secret anew, and send an example.

    --url is where MLflow reaches the services. The secret is ASCENSO_WEBHOOK_SECRET, which the
    services must have too; `make up` makes one.
    """
    url, secret = _address(services), _secret()
    shown = without_password(url)
    with registry(registry_uri) as opened:
        webhooks = Webhooks(opened)
        installed = webhooks.install(url, secret)
        delivery = webhooks.test(installed)
    if not delivery.success:
        raise Failed(f"Installed, but the example did not arrive at {shown}: {trouble(delivery)}")
    click.echo(f"MLflow wakes {shown} from now on, or {CACHE_SECONDS} s from now at the latest")


@webhook.command("list", epilog=EXIT_CODES)
@registry_option
def show(registry_uri: str | None) -> None:
    """Show every webhook of the MLflow server."""
    lines = table("id", "name", "url", "events", "status")
    with registry(registry_uri) as opened:
        for one in Webhooks(opened).all():
            events = ", ".join(sorted(map(str, one.events)))
            lines.add_row(one.webhook_id, one.name, without_password(one.url), events, one.status)
    if lines.row_count:
        console().print(lines)
    else:
        click.echo("There are no webhooks")


@webhook.command(epilog=EXIT_CODES)
@services_option
@registry_option
def remove(services: Services, registry_uri: str | None) -> None:
    """Remove the webhook of the services at --url."""
    url = _address(services)
    with registry(registry_uri) as opened:
        webhooks = Webhooks(opened)
        found = webhooks.to(url)
        for one in found:
            webhooks.remove(one)
    if not found:
        raise Failed(f"No webhook goes to {without_password(url)}; see `ascenso webhook list`")
    click.echo(f"MLflow wakes {without_password(url)} no more")


def _address(services: Services) -> str:
    return services.address.removesuffix(PATH) + PATH


def _secret() -> str:
    """The secret of this environment, or else of the local stack."""
    try:
        found = settings()
    except (ValidationError, SettingsError) as error:
        raise Failed(f"The configuration cannot be used: {error}") from error
    if secret := found.webhook_secret.get_secret_value():
        return secret
    raise Failed(
        f"{SECRET} is not set, and {found.home / 'secrets.env'} has none: set it to the secret of "
        "the services; `python -c 'import secrets; print(secrets.token_hex(32))'` makes one for "
        "both"
    )


def trouble(delivery: Delivery) -> str:
    """Why an example did not arrive, and what to do."""
    match delivery.response_status:
        case None:
            return f"{delivery.error_message}. MLflow must reach the services at --url"
        case 401:
            advice = f"give the services and this command the same {SECRET}"
        case 404:
            advice = f"start the services with {SECRET}, and give their address with --url"
        case _:
            advice = "see the log of the services"
    return f"it answered {delivery.response_status} {delivery.response_body[:300]}; {advice}"
