"""All services behind one port, each under its name: what `bentoml serve` runs."""

import bentoml
from starlette.routing import Mount, Router

from bentos import contugas, cripto, spotify
from bentos.web.index import index
from bentos.web.service import Served, quiet

apps = (contugas.app, spotify.app, cripto.app)


@bentoml.asgi_app(Router([*index(apps), *(Mount(f"/{app.name}", app) for app in apps)]))
@bentoml.service(name="ascenso", **quiet())
class Stack(Served):
    """Every service of Ascenso."""

    apps = apps
