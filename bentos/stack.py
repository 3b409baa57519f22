"""All services behind one port, each under its name: what `bentoml serve` runs."""

import bentoml

from bentos import contugas, spotify
from bentos.bento.service import OPTIONS, Served
from bentos.cripto import service as cripto
from bentos.itransformer import service as itransformer
from bentos.keras_api import service as keras_api
from bentos.models import service as models
from bentos.settings import Settings
from bentos.web.auth.gate import Gate
from bentos.web.index import Index

SERVICES = (contugas, spotify, cripto, keras_api, itransformer, models)


def build(settings: Settings) -> Index:
    """Every service, behind one gate."""
    gate = Gate(settings)
    return Index([service.build(settings, gate) for service in SERVICES], gate)


@bentoml.service(name="ascenso", **OPTIONS)
class Stack(Served, build=build):
    """Every service of Ascenso."""
