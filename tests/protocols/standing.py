"""Models that stand in memory behind every door, without a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
from starlette.types import Receive, Scope, Send

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opening import open_model
from bentos.models.service import build, over_grpc
from bentos.registry.client import Version
from bentos.serving.release import Release
from bentos.settings import GrpcSettings, ModelSettings, Settings
from bentos.tensors import Schema
from bentos.web.app import App, Server
from tests.protocols.doors import Caller
from tests.stack import free_ports
from tests.web.serving import serving

__all__ = ["Predict", "app", "asked", "put", "stand"]


def app(alone: str = "", **sections: Any) -> App:
    """The service of all models, or of one alone, while there are none."""
    models = ModelSettings(exclude=[], alone=alone)
    return build(Settings(models=models, **sections))


def stand(app: App, name: str, folder: Path, version: str = "1") -> Release:
    """Let the model of a folder, as MLflow writes it, serve under a name."""
    opened = open_model(MLmodel(folder))
    return put(app, name, opened.schema, opened.predict, version)


def put(
    app: App, name: str, schema: Schema, predict: Predict, version: str = "1", cost: float = 0.0
) -> Release:
    """Let anything serve that answers batches of a schema; what costs much runs in a thread."""
    release = Release(Version(name, version), predict, "native", cost, cost, schema=schema)
    (rack,) = app.following.racks
    (rack.get(name) or rack.add([name])[0]).swap(release)
    return release


@contextmanager
def asked(app: App) -> Iterator[Caller]:
    """Serve an app over HTTP and gRPC, in one event loop."""
    (port,) = free_ports(1)
    server = over_grpc(app.following.racks[0], app, Settings(grpc=GrpcSettings(port=port)))

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(server, receive, send)
        else:
            await app(scope, receive, send)

    with (
        serving(both, lifespan="on") as url,
        httpx.Client(base_url=url, timeout=60) as client,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Caller(client, channel)


async def _live(server: Server, receive: Receive, send: Send) -> None:
    """Let a server run as long as the app beside it."""
    await receive()
    await server.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await server.stop()
    await send({"type": "lifespan.shutdown.complete"})
