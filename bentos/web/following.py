"""What a service follows: the slots of its models, and feeds beside the registry."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from anyio.to_thread import run_sync
from msgspec import structs

from bentos.promotion.fleet import Fleet
from bentos.promotion.shared import Serving
from bentos.promotion.watcher import Watcher
from bentos.registry.client import RegistryUnavailable
from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
from bentos.web.errors import NotReady, Unavailable
from bentos.web.history import History, history

NOT_KNOWN = "Which models are promoted is not known yet: MLflow was not read so far"


class Feed(Protocol):
    """What a service follows beside the registry, such as data."""

    @property
    def trouble(self) -> str:
        """Why the last look failed; empty when well."""
        ...

    def start(self) -> None:
        """Begin to follow."""
        ...

    def stop(self) -> None:
        """Stop following."""
        ...

    def wake(self) -> None:
        """Look at once."""
        ...


class Member(Serving, frozen=True, kw_only=True):
    """A version that a replica serves, and when the replica last said so."""

    replica: str
    seen: str


class Following:
    """Slots of models that are named, racks of those that are not, and feeds.

    The watcher comes when the service starts; until then nothing can be looked at.
    """

    def __init__(
        self,
        slots: Sequence[Slot[Any, Any]] = (),
        racks: Sequence[Rack[Any, Any]] = (),
        feeds: Sequence[Feed] = (),
    ) -> None:
        self.fixed = list(slots)
        self.racks = list(racks)
        self.feeds = list(feeds)
        self.watcher: Watcher | None = None

    @property
    def slots(self) -> list[Slot[Any, Any]]:
        """The service's own slots, and those of its racks as they are now."""
        return [*self.fixed, *(slot for rack in self.racks for slot in rack.slots)]

    @property
    def ready(self) -> bool:
        """Whether every slot of its own has a live release, and every rack is ready."""
        return all(slot.live for slot in self.fixed) and all(rack.ready for rack in self.racks)

    @property
    def started(self) -> Watcher:
        """The watcher. Raises Unavailable before the start."""
        if self.watcher is None:
            raise Unavailable("The service is still starting")
        return self.watcher

    def wake(self) -> None:
        """Look at the registry soon."""
        if self.watcher:
            self.watcher.wake()

    async def reload(self) -> None:
        """Look at the registry now, and wait until what was found serves or not.

        Raises Unavailable when the registry cannot be read.
        """
        watcher = self.started
        for feed in self.feeds:
            feed.wake()
        try:
            await run_sync(watcher.reload)
        except RegistryUnavailable as error:
            raise Unavailable(
                f"The registry cannot be read, what serves goes on: {error}"
            ) from None

    async def history(self, query: Iterable[tuple[str, str]]) -> History:
        """The events that a query asks for. Raises HTTPError."""
        models = [slot.name for slot in self.slots]
        racks = [pattern for rack in self.racks for pattern in rack.patterns]
        return await run_sync(history, self.started.ledger, models, racks, query)

    async def slot(self, rack: Rack[Any, Any], name: str) -> Slot[Any, Any] | None:
        """The slot of a model by its caller's name; the registry is asked for one that is new.

        Raises NotReady where it is not known yet which models there are.
        """
        found = rack.get(name)
        if found is None and self.watcher:
            await self.watcher.looked_anew()
            found = rack.get(name)
        if found is None and not rack.known:
            raise NotReady(NOT_KNOWN)
        return found

    def report(self) -> dict[str, Any]:
        """What serves, and what is wrong, as `/releases` has it."""
        trouble = self.watcher.trouble if self.watcher else "the service is still starting"
        troubles = [trouble, *(feed.trouble for feed in self.feeds)]
        fleet = self.watcher.fleet if self.watcher else None
        if fleet:
            troubles.append(fleet.trouble)
        return {
            "degraded": "; ".join(filter(None, troubles)) or None,
            "releases": [slot.report() for slot in self.slots],
            "racks": [pattern for rack in self.racks for pattern in rack.patterns],
            "excluded": [pattern for rack in self.racks for pattern in rack.excluded],
        } | ({"fleet": self._fleet(fleet)} if fleet else {})

    def _fleet(self, fleet: Fleet) -> list[Member]:
        """What each replica serves of these models."""
        mine = {slot.name for slot in self.slots}
        return [
            Member(replica=replica.name, seen=replica.seen, **structs.asdict(one))
            for replica in fleet.replicas
            for one in replica.serves
            if one.model in mine
        ]
