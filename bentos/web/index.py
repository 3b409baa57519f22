"""The stack's own routes: all services on one page, in one report, in one set of metrics."""

import html
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from bentos.web.app import App, to_json
from bentos.web.headers import PAGE_HEADERS
from bentos.web.hooks import route as hook
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


def index(apps: Sequence[App]) -> list[BaseRoute]:
    """What a stack answers itself that mounts each app under its name.

    `/`, `/releases`, `/metrics`, and `/hooks/mlflow`, for they share one watcher.
    """

    async def page(request: Request) -> Response:
        rows = "\n".join(_row(app) for app in apps)
        return HTMLResponse(_PAGE.format(rows=rows), headers=PAGE_HEADERS)

    async def releases(request: Request) -> Response:
        return to_json([app.report() for app in apps])

    return [
        Route("/", page),
        Route("/releases", releases),
        Route("/metrics", metrics),
        hook(lambda: apps[0].watcher),
    ]


def _row(app: App) -> str:
    serves = ", ".join(str(slot.live or f"no {slot.name} yet") for slot in app.slots)
    return _ROW.format(name=html.escape(app.name), serves=html.escape(serves))
