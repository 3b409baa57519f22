"""What an admin does here: roll back, look anew, set the challenger's share; each is confirmed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from sqlite3 import Error as LedgerError
from typing import Any
from urllib.parse import quote

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bentos.promotion.back import FAR, back
from bentos.promotion.channel import point
from bentos.promotion.event import IDLE
from bentos.promotion.ledger import What
from bentos.registry.client import NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.tags import TRAFFIC_TAG
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.web.auth.gate import Caller
from bentos.web.console.pages import Models, Site
from bentos.web.console.part import Part
from bentos.web.console.places import root
from bentos.web.console.sessions import own_form
from bentos.web.console.templating import page
from bentos.web.endpoint import Endpoint, Simple
from bentos.web.errors import HTTPError, Unavailable, clip

PLACE = "/console/models/{name}"
AnySlot = Slot[Any, Any]


@dataclass(frozen=True)
class Question:
    """What is asked before something is done; `fields` say exactly what."""

    title: str
    words: str
    button: str
    fields: dict[str, str] = field(default_factory=dict)


class Actions:
    """Of one service. Who may do this, its guard knows."""

    def __init__(self, site: Site, part: Part, models: Models) -> None:
        self._site = site
        self._part = part
        self._models = models

    @property
    def endpoints(self) -> list[Endpoint]:
        """Of each action the question, and the deed."""
        pairs: dict[str, tuple[Simple, Simple]] = {
            "rollback": (self.ask_back, self.roll_back),
            "share": (self.ask_share, self.set_share),
            "reload": (self.ask_reload, self.reload),
        }
        return [
            Endpoint(method, f"{PLACE}/{name}", handler, access="token", include_in_schema=False)
            for name, handlers in pairs.items()
            for method, handler in zip(("GET", "POST"), handlers, strict=True)
        ]

    async def ask_back(self, request: Request) -> Response:
        """`GET .../rollback`: to which version?"""
        slot = self._models.slot(request)
        target = next(
            iter(await self._asked(lambda registry: self._targets(slot, registry))), None
        )
        if target is None:
            raise HTTPError(409, f"No version of {slot.name} served before the present one")
        now = f"version {slot.live.version.version} serves" if slot.live else "nothing serves"
        words = f"Now {now}. The {slot.channel} will point to version {target.version}."
        return self._question(
            request,
            slot,
            Question(
                f"Roll {slot.name} back to version {target.version}?",
                words,
                "Roll back",
                {"version": target.version},
            ),
        )

    async def roll_back(self, request: Request) -> Response:
        """`POST .../rollback`: point the channel to the version that was confirmed."""
        slot, form = self._models.slot(request), await own_form(request)
        number, user = form.get("version", ""), _caller(request).username

        def pointed(registry: Registry) -> Version:
            target = next((v for v in self._targets(slot, registry) if v.version == number), None)
            if target is None:
                raise HTTPError(409, f"Version {clip(number)!r} of {slot.name} did not serve")
            return point(registry, target, slot.channel, user)

        await self._asked(pointed)
        return await self._looked(request, slot)

    async def ask_share(self, request: Request) -> Response:
        """`GET .../share?percent=`: that much?"""
        slot = self._models.slot(request)
        percent = _percent(request.query_params.get("percent", ""))
        tried = _challenger(slot)
        said = "Its answers are compared and not given."
        if slot.trial and slot.trial.report()["mode"] == "canary":
            said = "Callers get its answers."
        return self._question(
            request,
            slot,
            Question(
                f"Give version {tried.version.version} {percent:g} % of the calls?",
                said,
                "Set the share",
                {"percent": f"{percent:g}", "version": tried.version.version},
            ),
        )

    async def set_share(self, request: Request) -> Response:
        """`POST .../share`: write the share on the challenger."""
        slot, form = self._models.slot(request), await own_form(request)
        percent, tried = _percent(form.get("percent", "")), _challenger(slot)
        if form.get("version") != tried.version.version:
            raise HTTPError(409, f"The challenger is version {tried.version.version} now")
        value = f"{percent / 100:.6g}"

        def tagged(registry: Registry) -> None:
            registry.set_tag(tried.version, TRAFFIC_TAG, value)
            self._record(request, "share", tried.version, f"it gets {percent:g} % of the calls")

        await self._asked(tagged)
        return await self._looked(request, slot)

    async def ask_reload(self, request: Request) -> Response:
        """`GET .../reload`: now?"""
        slot = self._models.slot(request)
        words = "Versions that were refused are tried once more."
        title = f"Look at the registry now, for all of {self._part.name}?"
        return self._question(request, slot, Question(title, words, "Look now"))

    async def reload(self, request: Request) -> Response:
        """`POST .../reload`: look at the registry."""
        slot = self._models.slot(request)
        await own_form(request)
        version = slot.live.version if slot.live else Version(slot.name, "")
        await self._asked(
            lambda registry: self._record(request, "reload", version, "somebody asked for it")
        )
        return await self._looked(request, slot)

    def _targets(self, slot: AnySlot, registry: Registry) -> list[Version]:
        """The versions that may serve again, the best first."""
        live = _served(slot.live) if slot.live else None
        before = [_served(slot.previous)] if slot.previous else []
        events = self._part.following.started.ledger.history(slot.name, FAR)
        before += [
            (event.version, event.run_id)
            for event in reversed(events)
            if event.what not in IDLE and event.channel == str(slot.channel)
        ]
        return list(back(live, before, registry.versions(slot.name)))

    def _record(self, request: Request, what: What, version: Version, why: str) -> None:
        channel = self._models.slot(request).channel
        ledger = self._part.following.started.ledger
        ledger.record(what, str(channel), version, why, _caller(request).username)

    async def _asked(self, ask: Callable[[Registry], Any]) -> Any:
        """Ask the registry, in a thread. Raises HTTPError."""
        try:
            return await run_sync(ask, self._part.following.started.registry)
        except NotInRegistry as error:
            raise HTTPError(409, f"MLflow does not know it any more: {error}") from None
        except RegistryUnavailable as error:
            raise Unavailable(
                f"The registry cannot be asked, nothing was changed: {error}"
            ) from None
        except LedgerError as error:
            raise Unavailable(f"The ledger cannot be used: {error}") from None

    async def _looked(self, request: Request, slot: AnySlot) -> Response:
        """Back to the model, once the registry was looked at."""
        await self._part.following.reload()
        return RedirectResponse(self._page(request, slot), 303)

    def _page(self, request: Request, slot: AnySlot) -> str:
        return f"{root(request)}console/models/{quote(slot.name, safe='')}"

    def _question(self, request: Request, slot: AnySlot, question: Question) -> Response:
        values = self._site.values(request)
        return page("confirm.html", **values, question=question, back=self._page(request, slot))


def _caller(request: Request) -> Caller:
    caller: Caller = request.scope["user"]
    return caller


def _served(release: Release) -> tuple[str, str]:
    return release.version.version, release.version.run_id


def _challenger(slot: AnySlot) -> Release:
    if slot.trial is None or slot.trial.slot.live is None:
        raise HTTPError(409, f"{slot.name} has no challenger now")
    return slot.trial.slot.live


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise HTTPError(422, f"percent is {clip(text)!r}: give a number from 0 to 100")
    return percent
