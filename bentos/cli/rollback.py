"""`ascenso rollback`: back to the version that served before."""

from collections.abc import Iterator
from contextlib import suppress

import click

from bentos.cli.console import json_option, outcome, say
from bentos.cli.errors import EXIT_CODES, Failed
from bentos.cli.promotion import bring, registry, registry_option, timeout_option
from bentos.cli.services import Service, Services, SlotReport, services_option
from bentos.promotion.back import FAR, back
from bentos.promotion.event import IDLE
from bentos.settings import Channel


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@timeout_option
@json_option
@registry_option
@services_option
def rollback(model: str, timeout: float, registry_uri: str | None, services: Services) -> None:
    """Promote the version of MODEL that served before the present one, and wait for it.

    Where the newest version serves, a copy of it becomes the newest.
    """
    service, slot = _only_slot(services, model)
    with registry(registry_uri) as opened:
        versions = opened.versions(model)
        live = (slot.live.version, slot.live.run_id) if slot.live else None
        target = next(back(live, served_before(services, service, slot), versions), None)
        present = f"version {slot.live.version}" if slot.live else "none"
        if target is None:
            raise Failed(f"No version of {model} served before the present one ({present})")
        say(f"Rolling {model} back to version {target.version} from {present}")
        channel = Channel.parse(slot.channel)
        promoted = bring(services, opened, target, channel, timeout, model)
    outcome(promoted.described() | {"from": slot.live.version if slot.live else None})


def _only_slot(services: Services, model: str) -> tuple[Service, SlotReport]:
    slots = [
        (service, slot)
        for service in services.of(model)
        for slot in service.releases
        if slot.model == model
    ]
    if not slots:
        raise Failed(
            f"No version of {model} is promoted: promote one with `ascenso promote`; the models "
            "are in `ascenso status`"
        )
    channels = sorted({slot.channel for _, slot in slots})
    if len(channels) > 1:
        raise Failed(
            f"{model} is followed by several channels ({', '.join(channels)}): "
            "name one to `ascenso promote`"
        )
    return slots[0]


def served_before(
    services: Services, service: Service, slot: SlotReport
) -> Iterator[tuple[str, str]]:
    """Version and run of what served, the latest first: the slot's memory, then the ledger's."""
    if slot.previous:
        yield slot.previous.version, slot.previous.run_id
    with suppress(Failed):  # the registry remembers too
        for event in reversed(services.history(service, slot.model, FAR).events):
            if event.what not in IDLE and event.channel == slot.channel:
                yield event.version, event.run_id
