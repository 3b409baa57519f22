"""The stack's own routes: all services on one page, in one report, in one set of metrics."""

import html
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.web import hooks
from bentos.web.app import App, to_json
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import routes
from bentos.web.headers import PAGE_HEADERS
from bentos.web.metrics import metrics

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ascenso</title>
<style>body {{ font: 16px sans-serif; margin: 2em }} td, th {{ padding: 0 1em .5em 0 }}</style>
</head>
<body>
<h1>Ascenso</h1>
<table>
<tr><th align="left">service</th><th align="left">serves</th></tr>
{rows}
</table>
<p><a href="releases">all releases</a> <a href="metrics">metrics</a></p>
</body>
</html>
"""
_ROW = """<tr><td>{name}</td><td>{serves}</td>
<td><a href="{name}/docs">docs</a></td>
<td><a href="{name}/redoc">reference</a></td>
<td><a href="{name}/releases">releases</a></td></tr>"""


class Index:
    """Apps behind one port, each under its name.

    Its own are `/`, `/releases`, `/metrics`, and `/hooks/mlflow`, for they share one watcher.
    """

    def __init__(self, apps: Sequence[App], gate: Gate) -> None:
        if unknown := set(gate.security.guarded) - {app.name for app in apps}:
            raise ValueError(
                f"security.guarded names {sorted(unknown)}, and there is no such service"
            )
        self.apps = apps
        self._named = {app.name: app for app in apps}
        hook = hooks.endpoint(lambda: apps[0].following.watcher, gate.deliveries)
        mounted = [Mount(f"/{app.name}", app) for app in apps]
        own = Router(
            [
                Route("/", self._page),
                Route("/releases", self._releases),
                Route("/metrics", metrics),
                *routes([hook]),
                *mounted,  # for those who left out the slash at the end
            ]
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
        if short is None:
            return None
        root = f"/{name}"

        async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
            await short({**scope, "root_path": root}, receive, send)

        return mounted

    async def _page(self, request: Request) -> Response:
        rows = "\n".join(map(_row, self.apps))
        return HTMLResponse(_PAGE.format(rows=rows), headers=PAGE_HEADERS)

    async def _releases(self, request: Request) -> Response:
        return to_json([app.report() for app in self.apps])


def _row(app: App) -> str:
    serves = ", ".join(str(slot.live or f"no {slot.name} yet") for slot in app.following.slots)
    return _ROW.format(name=html.escape(app.name), serves=html.escape(serves))
