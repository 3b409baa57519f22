"""A service's HTTP face: its own routes, and those that every service has."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from bentos.promotion.watcher import Watcher
from bentos.registry.client import RegistryUnavailable
from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
from bentos.web import docs
from bentos.web.auth.guard import RELOAD, Guard, Places, gate, inside
from bentos.web.docs import Answer, Operation
from bentos.web.errors import HANDLERS, JSON, Failure, Unavailable
from bentos.web.history import OPERATION as HISTORY
from bentos.web.history import history
from bentos.web.hooks import OPERATION as HOOK
from bentos.web.hooks import route as hook
from bentos.web.hot import Door, Hot
from bentos.web.metrics import REQUEST_SECONDS, REQUESTS, metrics


class Feed(Protocol):
    """What a service follows beside the registry, such as data; `trouble` is empty when well."""

    trouble: str

    def start(self) -> None:
        """Begin to follow."""
        ...

    def stop(self) -> None:
        """Stop following."""
        ...

    def wake(self) -> None:
        """Look at once."""
        ...


class App:
    """An ASGI app. POSTs to a path in `hot`, or to one that `doors` knows, take the fast route;
    all else goes to Starlette.

    `writes` are the places that change something, beside /reload: pages of other origins may not
    call them, and where the service is guarded they need the scope `admin`.
    `keyed` are those that want the admin key or the token of an admin where it is not.
    """

    def __init__(
        self,
        name: str,
        title: str,
        version: str,
        slots: Sequence[Slot[Any, Any]],
        hot: Sequence[Hot[Any, Any]] = (),
        routes: Sequence[BaseRoute] = (),
        operations: Sequence[Operation] = (),
        description: str = "",
        feeds: Sequence[Feed] = (),
        racks: Sequence[Rack[Any, Any]] = (),
        writes: Places = (),
        keyed: Places = (),
        last: Sequence[BaseRoute] = (),
        doors: Callable[[str], Door | None] = lambda path: None,
    ) -> None:
        self.name = name
        self.fixed = list(slots)
        self.racks = list(racks)
        self.feeds = list(feeds)
        self.watcher: Watcher | None = None
        self._hot = {route.path: route for route in hot}
        self._doors = doors
        guard = Guard(name, gate(), [*writes, RELOAD], keyed)
        self.openness = guard.openness
        self.check = guard.check  # before the start: raises ValueError where it must not run open
        told = guard.told([*operations, *COMMON_OPERATIONS])
        self._starlette = Starlette(
            routes=[
                *routes,
                *(Route(path, route, methods=["POST"]) for path, route in self._hot.items()),
                *self._common_routes(),
                *guard.routes,
                *docs.routes(title, version, told, description),
                *last,  # whose paths would hide those above
            ],
            exception_handlers=HANDLERS,
        )
        self._app = gate().origins.open_to(guard.around(self._dispatch))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "POST":
            path = inside(scope)
            door = self._hot.get(path) or self._doors(path)
            if door is not None:
                await door(scope, receive, send)
                return
        await self._measured(scope, receive, send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                route = getattr(scope.get("endpoint"), "__name__", "none")
                REQUESTS.labels(self.name, route, message["status"]).inc()
                REQUEST_SECONDS.labels(self.name, route).observe(time.perf_counter() - started)

        await self._starlette(scope, receive, counted)

    @property
    def slots(self) -> list[Slot[Any, Any]]:
        """The service's own slots, and those of its racks as they are now."""
        return [*self.fixed, *(slot for rack in self.racks for slot in rack.slots)]

    @property
    def ready(self) -> bool:
        """Whether every slot of its own has a live release, and every rack is ready."""
        return all(slot.live for slot in self.fixed) and all(rack.ready for rack in self.racks)

    def _common_routes(self) -> list[BaseRoute]:
        return [
            Route("/livez", livez),
            Route("/readyz", self._readyz),
            Route("/metrics", metrics),
            Route("/releases", self._releases),
            Route("/history", self._history),
            Route("/reload", self._reload, methods=["POST"]),
            hook(lambda: self.watcher),
        ]

    async def _readyz(self, request: Request) -> Response:
        if not self.ready:
            waiting = [slot.name for slot in self.slots if not slot.live]
            waiting += [f"{rack.prefix}*" for rack in self.racks if not rack.known]
            raise Unavailable(f"No version serves yet of: {', '.join(waiting)}")
        return PlainTextResponse("ready\n")

    async def _releases(self, request: Request) -> Response:
        return to_json(self.report())

    async def _history(self, request: Request) -> Response:
        if self.watcher is None:
            raise Unavailable("The service is still starting")
        models = [slot.name for slot in self.slots]
        racks = tuple(rack.prefix for rack in self.racks)
        query = request.query_params.multi_items()
        return to_json(await run_sync(history, self.watcher.ledger, models, racks, query))

    async def _reload(self, request: Request) -> Response:
        await self.reload()
        return to_json(self.report())

    async def reload(self) -> None:
        """Look at the registry now, and wait until what was found serves or not.

        Raises Unavailable when the registry cannot be read.
        """
        if self.watcher is None:
            raise Unavailable("The service is still starting")
        for feed in self.feeds:
            feed.wake()
        try:
            await run_sync(self.watcher.reload)
        except RegistryUnavailable as error:
            raise Unavailable(
                f"The registry cannot be read, what serves goes on: {error}"
            ) from None

    async def slot(self, rack: Rack[Any, Any], name: str) -> Slot[Any, Any] | None:
        """The slot of a model by its caller's name; the registry is asked for one that is new."""
        found = rack.get(name)
        if found is None and self.watcher:
            await self.watcher.looked_anew()
            found = rack.get(name)
        return found

    def report(self) -> dict[str, Any]:
        """The service as `/releases` tells it."""
        trouble = self.watcher.trouble if self.watcher else "the service is still starting"
        troubles = [trouble, *(feed.trouble for feed in self.feeds)]
        return {
            "service": self.name,
            "degraded": "; ".join(filter(None, troubles)) or None,
            "releases": [slot.report() for slot in self.slots],
            "racks": [rack.prefix for rack in self.racks],
            "excluded": [pattern for rack in self.racks for pattern in rack.excluded],
        }


def to_json(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


async def livez(request: Request) -> Response:
    """`GET /livez`: the process answers."""
    return PlainTextResponse("alive\n")


NOT_READY = {503: Answer("No version serves yet", Failure)}
COMMON_OPERATIONS = (
    Operation(
        "GET",
        "/releases",
        "What serves, since when, and who was refused why",
        {200: Answer("For each slot: channel, live, previous, candidate, refused")},
    ),
    HISTORY,
    Operation(
        "POST",
        "/reload",
        "Look at the registry now",
        {200: Answer("As /releases, after the look"), 503: Answer("No registry", Failure)},
    ),
    HOOK,
    Operation("GET", "/livez", "Whether the process answers", {200: Answer("It does")}),
    Operation("GET", "/readyz", "Whether a release is live", {200: Answer("It is"), **NOT_READY}),
    Operation("GET", "/metrics", "Metrics for Prometheus", {200: Answer("Text format")}),
)
