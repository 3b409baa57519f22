"""`ascenso history`: what served when, and who was refused why."""

import click
import msgspec

from bentos.cli.console import console, for_scripts, json_option, moment, outcome, table
from bentos.cli.errors import EXIT_CODES
from bentos.cli.services import Services, services_option
from bentos.promotion.event import Event

COLUMNS = ("time", "what", "version", "channel", "run", "digest", "who", "why")
DIGITS = 12  # of a digest and a run id: enough to tell them apart


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@click.option(
    "--at", default="", metavar="TIME", help="What served then; in UTC, if it names no zone."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@json_option
@services_option
def history(model: str, at: str, limit: int, services: Services) -> None:
    """Show the latest swaps, rollbacks and refusals of MODEL, or what served at a TIME.

    The services keep it themselves: the registry is not asked.
    """
    service = services.of(model)[0]
    events = services.history(service, model, limit, at).events
    if for_scripts():
        outcome(msgspec.to_builtins(events))
    elif events:
        lines = table(*COLUMNS)
        for event in events:
            lines.add_row(*_cells(event))
        console().print(lines)
    else:
        click.echo(f"No version of {model} has served{f' by {at}' if at else ''}")


def _cells(event: Event) -> tuple[str, ...]:
    return (
        moment(event.at),
        event.what,
        event.version,
        event.channel,
        event.run_id[:DIGITS] or "-",
        event.digest.removeprefix("sha256:")[:DIGITS] or "-",
        event.who or "-",
        event.why,
    )
