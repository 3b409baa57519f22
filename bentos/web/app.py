"""A service's HTTP face: its own endpoints, and those that every service has."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.slot import Slot
from bentos.web import docs, history, hooks
from bentos.web.auth.gate import Gate
from bentos.web.auth.guard import Guard, inside
from bentos.web.console.asking import Asking, asked_by
from bentos.web.console.part import Askings, Part
from bentos.web.console.service import Console
from bentos.web.console.traffic import Route
from bentos.web.endpoint import NOT_READY, Answer, Endpoint, routes
from bentos.web.errors import JSON, Failure, HTTPError, Rendered, Unavailable, handlers
from bentos.web.exposition import metrics
from bentos.web.following import Following
from bentos.web.hot import Door
from bentos.web.metrics import REQUEST_SECONDS, REQUESTS, ROUTE
from bentos.web.request_ids import returned

VERSION = "1"


class Server(Protocol):
    """What answers beside an app while it runs, in the same event loop."""

    async def start(self) -> None:
        """Begin to answer."""
        ...

    async def stop(self) -> None:
        """Take no more calls, and return once those in flight are answered."""
        ...


class App:
    """An ASGI app. POSTs to an endpoint that a Door answers, or to a path that `doors` knows, take
    the fast route; all else goes to Starlette.

    `last` are endpoints whose paths would hide those that every service has. What all services of
    a process share, their users and origins, is the `gate`. `form` gives an error at a path as the
    callers of that path read it.
    `asking` says how a model is asked, where that is not the first fast route of its slot; `page`
    is the path of its page, where there is another one than the console's.
    """

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        following: Following,
        gate: Gate,
        last: Sequence[Endpoint] = (),
        doors: Callable[[str], Door | None] = lambda path: None,
        form: Callable[[str, HTTPError], Rendered] = lambda path, error: error.render(),
        asking: Askings | None = None,
        page: str = "",
    ) -> None:
        self.name = name
        self.following = following
        self.servers: list[Server] = []
        self.hot = {e.path: e.handler for e in endpoints if isinstance(e.handler, Door)}
        self._doors = doors
        self._form = form
        self._endpoints = list(endpoints)
        self.part = Part(name, following, gate, asking or self._asking, self._routes)
        self._console = console = Console(self.part, page)
        common = [*self._common(gate), *console.endpoints, *last, *console.last]
        self.part.guard = self.guard = Guard(name, gate, [*endpoints, *common])
        self._starlette = Starlette(
            routes=[
                *docs.routes(name, VERSION, self.guard.endpoints),
                *routes(self.guard.endpoints),
            ],
            exception_handlers=handlers(self._refused),
        )
        self._app = returned(self.guard.around(self._dispatch, self._refused))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    @property
    def apps(self) -> "Sequence[App]":
        """Itself; a stack has several."""
        return [self]

    def short(self, path: str) -> ASGIApp | None:
        """Itself, if POSTs to a path take the fast route; they need none of BentoML's."""
        return self._app if self._door(path) else None

    def _door(self, path: str) -> Door | None:
        return self.hot.get(path) or self._doors(path)

    def _refused(self, scope: Scope, error: HTTPError) -> Rendered:
        return self._console.refused(scope, error) or self._form(inside(scope), error)

    def _asking(self, slot: Slot[Any, Any]) -> Asking | None:
        return asked_by(self._endpoints, slot)

    def _routes(self, slot: Slot[Any, Any]) -> list[Route]:
        doors = [door.labels for door in self.hot.values() if getattr(door, "slot", None) is slot]
        own = [f"{slot.name}{end}" for end in ("", "/infer", "/invocations")]
        return [*doors, *((self.name, route) for route in own)]

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") == "POST":
            door = self._door(inside(scope))
            if door is not None:
                await door(scope, receive, send)
                return
        await self._measured(scope, receive, send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                endpoint = getattr(scope.get("endpoint"), "__name__", "none")
                route = str(scope.get(ROUTE, endpoint))
                REQUESTS.add((self.name, route, str(message["status"])))
                REQUEST_SECONDS.observe((self.name, route), time.perf_counter() - started)

        await self._starlette(scope, receive, counted)

    def _common(self, gate: Gate) -> list[Endpoint]:
        """What every service answers."""
        slots = "For each slot: channel, live, previous, candidate, refused"
        return [
            Endpoint(
                "GET",
                "/releases",
                self._releases,
                "What serves, since when, and who was refused why",
                {200: Answer(slots)},
            ),
            history.endpoint(self._history),
            Endpoint(
                "POST",
                "/reload",
                self._reload,
                "Look at the registry now",
                {200: Answer("As /releases, after the look"), 503: Answer("No registry", Failure)},
                access="admins",
            ),
            hooks.endpoint(lambda: self.following.watcher, gate.deliveries),
            _GET_LIVEZ,
            Endpoint(
                "GET",
                "/readyz",
                self._readyz,
                "Whether a release is live",
                {200: Answer("It is"), **NOT_READY},
            ),
            _GET_METRICS,
        ]

    async def _readyz(self, request: Request) -> Response:
        if not self.following.ready:
            waiting = [slot.name for slot in self.following.slots if not slot.live]
            racks = [rack for rack in self.following.racks if not rack.known]
            waiting += [pattern for rack in racks for pattern in rack.patterns]
            raise Unavailable(f"No version serves yet of: {', '.join(waiting)}")
        return PlainTextResponse("ready\n")

    async def _releases(self, request: Request) -> Response:
        return to_json(self.report())

    async def _history(self, request: Request) -> Response:
        return to_json(await self.following.history(request.query_params.multi_items()))

    async def _reload(self, request: Request) -> Response:
        await self.following.reload()
        return to_json(self.report())

    def report(self) -> dict[str, Any]:
        """The service as `/releases` tells it."""
        return {"service": self.name} | self.following.report()


class Site(Protocol):
    """What BentoML serves: one app, or several behind one port."""

    @property
    def apps(self) -> Sequence[App]:
        """The apps in it."""
        ...

    def short(self, path: str) -> ASGIApp | None:
        """What answers POSTs to a path, if they take the fast route."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...


def to_json(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


async def livez(request: Request) -> Response:
    """`GET /livez`: the process answers."""
    return PlainTextResponse("alive\n")


_GET_LIVEZ = Endpoint(
    "GET", "/livez", livez, "Whether the process answers", {200: Answer("It does")}
)
_GET_METRICS = Endpoint(
    "GET", "/metrics", metrics, "Metrics for Prometheus", {200: Answer("Text format")}
)
