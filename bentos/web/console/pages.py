"""The pages of a service, and those of a stack of services."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from sqlite3 import Error as DatabaseError
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync
from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response

from bentos.promotion.event import Event
from bentos.serving.slot import Slot
from bentos.web.auth import session
from bentos.web.console import charts, columns
from bentos.web.console.live import Parts, Viewers
from bentos.web.console.part import Part
from bentos.web.console.places import home, root
from bentos.web.console.ring import DAY, HOUR
from bentos.web.console.sessions import Sessions
from bentos.web.console.templating import Files, page, render
from bentos.web.console.tracked import Tracked, metrics
from bentos.web.console.traffic import key
from bentos.web.endpoint import Endpoint
from bentos.web.errors import HTTPError, NotReady, clip
from bentos.web.following import NOT_KNOWN

KEPT_SECONDS = 1.0  # that several viewers get the same
MOST_EVENTS = 200
ASSETS = "/console/assets/{file:path}"


class Site:
    """What the pages of a service, or of a stack, need: the session, the files, who looks on."""

    def __init__(self, sessions: Sessions, part: Part | None = None) -> None:
        self.sessions = sessions
        self._part = part
        self.viewers = Viewers()
        self._files = Files()
        self._kept: TTLCache[str, Parts] = TTLCache(100, KEPT_SECONDS)
        self._making = asyncio.Lock()

    @property
    def endpoints(self) -> list[Endpoint]:
        """The login, and the files of the pages."""
        return [
            *self.sessions.endpoints,
            Endpoint("GET", ASSETS, self._file, include_in_schema=False),
        ]

    def values(self, request: Request) -> dict[str, Any]:
        """What every page shows: who looks at it, and how they log in or out."""
        caller = self.sessions.caller(request)
        by_cookie = "authorization" not in request.headers and caller is not None
        way = root(request)
        return {
            "root": way,
            "home": home(way, self._part is not None and self._part.stacked),
            "user": caller.username if caller else "",
            "admin": bool(caller and caller.admin),
            "secret": session.form_secret(request.scope) if by_cookie else "",
            "may_log_in": caller is None and self.sessions.gate.has_key,
        }

    async def parts(self, name: str, make: Callable[[], Parts]) -> Parts:
        """The parts of a page, made in a thread, once for all who look on."""
        async with self._making:
            found = self._kept.get(name)
            if found is None:
                found = self._kept[name] = await run_sync(make)
            return found

    async def _file(self, request: Request) -> Response:
        return await self._files.get_response(request.path_params["file"], request.scope)


class Overview:
    """All models of some services; `stacked` services lie below their names."""

    def __init__(self, site: Site, parts: Sequence[Part], stacked: bool) -> None:
        self._site = site
        self._parts = parts
        self._stacked = stacked

    @property
    def endpoints(self) -> list[Endpoint]:
        """The page, and what it becomes."""
        return [
            Endpoint("GET", "/", self.page, include_in_schema=False),
            Endpoint("GET", "/console", self.page, include_in_schema=False),
            Endpoint("GET", "/console/events", self.events, include_in_schema=False),
        ]

    async def page(self, request: Request) -> Response:
        """`GET /`: all models, as they are now."""
        seen = self._seen(request)
        made = await self._made(seen)
        return page(
            "overview.html",
            **self._site.values(request),
            parts=made,
            services=[part.name for part in self._parts],
            hidden=[part.name for part in self._parts if part not in seen],
            troubles={part.trouble for part in seen if part.trouble},
            stacked=self._stacked,
        )

    async def events(self, request: Request) -> Response:
        """`GET /console/events`: the models that changed, as they do."""
        seen = self._seen(request)
        return self._site.viewers.stream(partial(self._made, seen))

    def _seen(self, request: Request) -> list[Part]:
        return [part for part in self._parts if part.guard.lets_in(request.scope)]

    async def _made(self, seen: Sequence[Part]) -> Parts:
        name = " ".join(part.name for part in seen)
        return await self._site.parts(name, partial(self._make, seen))

    def _make(self, seen: Sequence[Part]) -> Parts:
        return {
            card.id: render("card.html", card=card, stacked=self._stacked)
            for part in seen
            for card in part.cards()
        }


class Models:
    """A page for each model of a service."""

    def __init__(self, site: Site, part: Part) -> None:
        self._site = site
        self._part = part
        self._tracked = Tracked(part.gate.settings)

    @property
    def endpoints(self) -> list[Endpoint]:
        """The page of a model, and what it becomes."""
        place = "/console/models/{name}"
        return [
            Endpoint("GET", place, self.page, include_in_schema=False),
            Endpoint("GET", f"{place}/events", self.events, include_in_schema=False),
        ]

    async def page(self, request: Request) -> Response:
        """`GET /console/models/{name}`: one model."""
        slot = self.slot(request)
        made, (run, truth) = await asyncio.gather(self._made(slot), self._tracked.of(slot))
        values = self._site.values(request)
        asking = self._part.asking(slot)
        return page(
            "model.html",
            **values,
            part=self._part,
            slot=slot,
            parts=made,
            run=run,
            metrics=metrics(run),
            truth=truth,
            inputs=columns.taken(slot),
            outputs=columns.given(slot),
            asking=asking,
            snippets=asking.snippets(self._address(request), self._part.guard.guarded)
            if asking
            else {},
            place=f"console/models/{quote(slot.name, safe='')}",
        )

    async def events(self, request: Request) -> Response:
        """`GET /console/models/{name}/events`: what changed of it, as it does."""
        return self._site.viewers.stream(partial(self._made, self.slot(request)))

    def slot(self, request: Request) -> Slot[Any, Any]:
        """The slot of the model that a request names. Raises HTTPError 404, or NotReady."""
        name = request.path_params["name"]
        slots = self._part.slots
        for slot in slots:
            if slot.name == name:
                return slot
        if not all(rack.known for rack in self._part.following.racks):
            raise NotReady(NOT_KNOWN)
        known = ", ".join(slot.name for slot in slots) or "none yet"
        raise HTTPError(404, f"No model {clip(name)!r} is promoted. Those that are: {clip(known)}")

    def _address(self, request: Request) -> str:
        scope = request.scope
        return f"{request.url.scheme}://{request.url.netloc}{quote(scope.get('root_path', ''))}/"

    async def _made(self, slot: Slot[Any, Any]) -> Parts:
        return await self._site.parts(f" {slot.name}", partial(self._make, slot))

    def _make(self, slot: Slot[Any, Any]) -> Parts:
        name = key(self._part.name, slot.name)
        hour = self._part.counts(HOUR, slot.name).get(name, ())
        day = self._part.counts(DAY, slot.name).get(name, ())
        (events, trouble), channel = self._events(slot), str(slot.channel)
        return {
            "now": render("now.html", card=self._part.card(slot), slot=slot),
            "history": render(
                "history.html",
                channel=channel,
                line=charts.timeline(events, channel),
                events=events,
                trouble=trouble,
            ),
            "hour": render("traffic.html", chart=charts.traffic(hour, "a minute")),
            "day": render("traffic.html", chart=charts.traffic(day, "15 minutes")),
            "drift": render("drift.html", shifts=columns.shifts(slot)),
        }

    def _events(self, slot: Slot[Any, Any]) -> tuple[Sequence[Event], str]:
        try:
            ledger = self._part.ledger
            return (ledger.history(slot.name, MOST_EVENTS) if ledger else []), ""
        except DatabaseError as error:
            return [], f"The ledger cannot be read: {error}"
