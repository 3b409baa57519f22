"""The short way: hot routes are answered before BentoML's middlewares, which cost as much again.

What these do that is wanted holds on the short way too: a Door has a deadline for the whole call,
bounds its body, and counts; uvicorn waits at its end for calls in flight on either way.
"""

import logging

from opentelemetry.util.http import ExcludeList
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.web.app import Site

log = logging.getLogger(__name__)

NEEDLESS = {"TimeoutMiddleware", "ContextMiddleware"}  # the context is for BentoML's own APIs


class Front:
    """An ASGI app: what a site answers quickly goes there at once, all else through BentoML."""

    def __init__(self, site: Site, app: ASGIApp) -> None:
        self._site = site
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            short = self._site.short(scope["path"])
            if short is not None:
                await short(scope, receive, send)
                return
        await self._app(scope, receive, send)


def fronted(site: Site, app: Starlette) -> ASGIApp:
    """BentoML's app behind a front; or as it is, where a middleware must see every call."""
    needed = [one.cls.__name__ for one in app.user_middleware if not _idle(one)]  # type: ignore[attr-defined]
    if needed:
        log.warning("every call takes BentoML's way, for %s", ", ".join(needed))
        return app
    return Front(site, app)


def _idle(middleware: Middleware) -> bool:
    """Whether a hot route needs it not: its Door has a deadline, and tracing may be off."""
    name = middleware.cls.__name__  # type: ignore[attr-defined]
    if name == "OpenTelemetryMiddleware":
        excluded: ExcludeList = middleware.kwargs["excluded_urls"]  # type: ignore[assignment]
        return excluded.url_disabled("/")
    return name in NEEDLESS
