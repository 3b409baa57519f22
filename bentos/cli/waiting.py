"""Waiting until a promoted version serves, or is refused."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bentos.cli.console import progress, say
from bentos.cli.errors import Failed, Unreachable
from bentos.cli.services import RefusalReport, Service, Services, SlotReport
from bentos.registry.client import Version
from bentos.settings import Channel, settings

PAUSE_SECONDS = 0.2


def followers(
    services: list[Service], model: str, channel: Channel
) -> dict[str, SlotReport | None]:
    """The slots of a model that follow a channel, by service; None where one is yet to be made."""
    made = {service.service: None for service in services if service.makes(model)}
    return made | dict(following(services, model, channel))


def following(
    services: list[Service], model: str, channel: Channel
) -> Iterator[tuple[str, SlotReport]]:
    """The slots of a model that follow a channel, with the names of their services."""
    also = settings().channel(model).aliases  # followed instead of the stage
    for service in services:
        for slot in service.releases:
            if slot.model == model and (slot.channel == str(channel) or channel.alias in also):
                yield service.service, slot


@dataclass(frozen=True)
class Wait:
    """A version on its way, and the slots as they were before it was promoted."""

    services: Services
    version: Version
    channel: Channel
    before: dict[str, SlotReport | None]

    def until_live(self, seconds: float) -> None:
        """Return once the version serves everywhere.

        Raises Failed when it is refused, or takes longer; Unreachable when nobody can tell.
        """
        deadline = time.monotonic() + seconds
        late = False
        with progress() as tell:
            while waiting := self._waiting(late):
                if late:
                    raise Failed(
                        f"{self.version} was promoted, but does not serve after {seconds:g} s: "
                        f"{waiting}. See `ascenso status`"
                    )
                tell(f"{self.version}: {waiting}")
                time.sleep(PAUSE_SECONDS)
                late = time.monotonic() > deadline
        for name in self.before:
            say(f"{name} serves {self.version}")

    def _waiting(self, late: bool) -> str:
        """What is still awaited, in words; nothing when it serves everywhere."""
        try:
            now = dict(following(self.services.all(), self.version.name, self.channel))
        except Unreachable as error:
            if late:
                raise
            return str(error)
        states = {name: self._state(name, now.get(name)) for name in self.before}
        waiting = [f"{name} {state}" for name, state in states.items() if isinstance(state, str)]
        refused = [
            f"{name} refused it: {state.reason}: {state.message}"
            for name, state in states.items()
            if isinstance(state, RefusalReport)
        ]
        if refused and not waiting:
            raise Failed(f"{self.version} does not serve: {'; '.join(refused)}")
        return ", ".join(waiting)

    def _state(self, name: str, slot: SlotReport | None) -> str | RefusalReport | None:
        """What a service does with the version: words while it waits, None when it serves."""
        before = self.before[name]
        if slot is None:
            return "is starting" if before else "has not noticed it yet"
        live, refused = slot.live, slot.refused
        if live and (live.version, live.run_id) == (self.version.version, self.version.run_id):
            return None
        is_news = before is None or refused != before.refused
        if refused and is_news and refused.version == self.version.version:
            return refused
        if slot.candidate == self.version.version:
            return "is checking it"
        return f"has not brought it: {slot.trouble}" if slot.trouble else "has not noticed it yet"
