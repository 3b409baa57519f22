"""The stack's own routes: all services on one page, in one report, in one set of metrics."""

from collections.abc import Awaitable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.web import hooks
from bentos.web.app import App, to_json
from bentos.web.auth.gate import Gate
from bentos.web.console.pages import Overview, Site
from bentos.web.console.sessions import Sessions
from bentos.web.endpoint import routes
from bentos.web.errors import handlers
from bentos.web.exposition import metrics


class Index:
    """Apps behind one port, each under its name.

    Its own are the overview at `/`, `/releases`, `/metrics`, and `/hooks/mlflow`, for they share
    one watcher.
    """

    def __init__(self, apps: Sequence[App], gate: Gate) -> None:
        if unknown := set(gate.security.guarded) - {app.name for app in apps}:
            raise ValueError(
                f"security.guarded names {sorted(unknown)}, and there is no such service"
            )
        self.apps = apps
        self._named = {app.name: app for app in apps}
        self._mounted = {app.name: _mounted(app) for app in apps}
        hook = hooks.endpoint(lambda: apps[0].following.watcher, gate.deliveries)
        parts = [app.part for app in apps]
        for part in parts:
            part.stacked = True
        site = Site(Sessions(gate))
        mounted = [Mount(f"/{app.name}", app) for app in apps]
        overview = Overview(site, parts, stacked=True)
        own = Starlette(
            routes=[
                Route("/releases", self._releases),
                Route("/metrics", metrics),
                *routes([hook, *overview.endpoints, *site.endpoints]),
                *mounted,  # for those who left out the slash at the end
            ],
            exception_handlers=handlers(),
        )
        # Apps have guards of their own, which say what is wrong in the form of the place.
        self._app = Router(mounted, redirect_slashes=False, default=gate.hosts.around(own))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    def short(self, path: str) -> ASGIApp | None:
        """What answers POSTs to a path, if they take the fast route of an app."""
        name, slash, below = path[1:].partition("/")
        app = self._named.get(name)
        short = app.short(slash + below) if app else None
        return self._mounted[name] if short else None

    async def _releases(self, request: Request) -> Response:
        return to_json([app.report() for app in self.apps])


def _mounted(app: App) -> ASGIApp:
    """`app` under its name."""
    root = f"/{app.name}"

    def mounted(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return app({**scope, "root_path": root}, receive, send)

    return mounted
