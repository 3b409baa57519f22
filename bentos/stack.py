"""All services behind one port, each under its name: what `bentoml serve` runs."""

import bentoml
from starlette.routing import Mount, Router

from bentos import contugas, cripto, itransformer, keras_api, spotify
from bentos.settings import settings
from bentos.web.index import index
from bentos.web.service import Served, quiet

apps = (contugas.app, spotify.app, cripto.app, keras_api.app, itransformer.app)

if unknown := set(settings().security.guarded) - {app.name for app in apps}:
    raise ValueError(f"security.guarded names {sorted(unknown)}, and there is no such service")


@bentoml.asgi_app(Router([*index(apps), *(Mount(f"/{app.name}", app) for app in apps)]))
@bentoml.service(name="ascenso", **quiet())
class Stack(Served):
    """Every service of Ascenso."""

    apps = apps
