"""All services behind one port, each under its name: what `bentoml serve` runs."""

import bentoml
from starlette.routing import Mount, Router

from bentos import contugas, spotify
from bentos.bento.service import Served, quiet
from bentos.cripto import service as cripto
from bentos.itransformer import service as itransformer
from bentos.keras_api import service as keras_api
from bentos.models import service as models
from bentos.settings import settings
from bentos.web.auth.guard import gate
from bentos.web.index import index

apps = (
    contugas.app,
    spotify.app,
    cripto.app,
    keras_api.app,
    itransformer.app,
    models.app,
)

if unknown := set(settings().security.guarded) - {app.name for app in apps}:
    raise ValueError(f"security.guarded names {sorted(unknown)}, and there is no such service")


router = Router([*index(apps), *(Mount(f"/{app.name}", app) for app in apps)])


@bentoml.asgi_app(gate().hosts.around(router))
@bentoml.service(name="ascenso", **quiet())
class Stack(Served):
    """Every service of Ascenso."""

    apps = apps
