"""`ascenso status`: a line for each slot of the running services."""

import click

from bentos.cli.console import console, for_scripts, json_option, moment, outcome, table
from bentos.cli.errors import EXIT_CODES
from bentos.cli.services import (
    Challenger,
    RefusalReport,
    ReleaseReport,
    Service,
    Services,
    SlotReport,
    services_option,
)

COLUMNS = (
    "service",
    "model",
    "channel",
    "live",
    "previous",
    "candidate",
    "challenger",
    "last refusal",
    "degraded",
)


@click.command(epilog=EXIT_CODES)
@services_option
@json_option
def status(services: Services) -> None:
    """Show what every service serves, since when, and who was refused why."""
    if for_scripts():
        outcome(services.described())
        return
    lines = table(*COLUMNS)
    for service in services.all():
        for slot in service.releases:
            lines.add_row(*_cells(service, slot))
    console().print(lines)


def _cells(service: Service, slot: SlotReport) -> tuple[str, ...]:
    return (
        service.service,
        slot.model,
        slot.channel,
        _live(slot.live),
        slot.previous.version if slot.previous else "-",
        slot.candidate or "-",
        _trial(slot.challenger),
        _refusal(slot.refused),
        "; ".join(filter(None, (service.degraded, slot.trouble))) or "-",
    )


def _live(live: ReleaseReport | None) -> str:
    return f"{live.version} since {moment(live.since)}" if live else "-"


def _trial(tried: Challenger | None) -> str:
    if tried is None or tried.live is None:
        return _refusal(tried.refused if tried else None)
    agreement = "" if tried.agreement is None else f" {tried.agreement:.2%} agreed"
    latency = "" if tried.challenger_ms is None else f", {tried.challenger_ms} ms"
    against = "" if tried.champion_ms is None else f" against {tried.champion_ms} ms"
    return (
        f"{tried.live.version} as {tried.mode} of {tried.share:g}: {tried.compared} calls,"
        f"{agreement} {tried.errors} errors{latency}{against}"
    )


def _refusal(refused: RefusalReport | None) -> str:
    if refused is None:
        return "-"
    return f"{refused.version} at {moment(refused.at)}: {refused.reason}: {refused.message}"
