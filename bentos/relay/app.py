"""The relay as an app: what waits, files, what it counts; all else is passed on to MLflow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.registry.changes import VIA
from bentos.relay import metrics
from bentos.relay.caller import Caller
from bentos.relay.desk import Desk, wants_fresh
from bentos.relay.download import Download
from bentos.relay.files import Files
from bentos.relay.permits import PATH, Permits, root
from bentos.relay.shared import Shared
from bentos.relay.upstream import Upstream
from bentos.settings import Settings

SEARCH = "/api/2.0/mlflow/registered-models/search"
PLACE = "/api/2.0/mlflow/model-versions/get-download-uri"
ALL = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Relay:
    """Everything of a relay. Raises AccessError where a certificate cannot be read."""

    def __init__(self, settings: Settings) -> None:
        uri = settings.registry.direct or settings.tracking_uri
        own = settings.relay
        self.upstream = Upstream(uri)
        self.desk = Desk(uri, settings)
        self.shared = Shared(self.upstream)
        self.permits = Permits(self.shared, own.permit_seconds)
        self.files = Files(self.upstream, settings.home / "relay", own.cache_bytes)

    async def search(self, request: Request) -> Response:
        """A search for all models that waits, or any other."""
        if self.desk.takes(request):
            return await self.desk.answer(request)
        return await self.upstream.pass_on(request)

    async def file(self, request: Request) -> Response:
        """A file of a version, from disk to those who may read it."""
        target: bytes = request.scope["raw_path"]
        folder = root(request.path_params["path"])
        whole = request.method == "GET" and "range" not in request.headers
        if not whole or not folder or request.scope["query_string"]:
            answer = await self.upstream.pass_on(request)
            if request.method not in ("GET", "HEAD"):
                self.files.forget(target)
            return answer
        caller = Caller.of(request)
        if not await self.permits.may_read(caller, folder):
            metrics.FILES.labels("denied").inc()
        elif held := await self.files.get(target, caller, wants_fresh(request)):
            return _streamed(held)
        return await self.upstream.pass_on(request)  # MLflow says why not

    async def asked_by_many(self, request: Request) -> Response:
        """Where a version lies, or what lies there."""
        if request.method == "GET" and not wants_fresh(request):
            target: bytes = request.scope["raw_path"] + b"?" + request.scope["query_string"]
            if found := await self.shared.get(Caller.of(request), target):
                return Response(found.content, media_type=found.kind)
        return await self.upstream.pass_on(request)

    async def stop(self) -> None:
        """End what is under way."""
        await self.desk.stop()
        await self.files.stop()
        await self.upstream.close()


def build(relay: Relay) -> ASGIApp:
    """The app of a relay."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await relay.stop()

    routes = [
        Route("/livez", _alive),
        Route("/metrics", _metrics),
        Route(SEARCH, relay.search, methods=["GET"]),
        Route(PLACE, relay.asked_by_many, methods=["GET"]),
        Route(PATH, relay.asked_by_many, methods=["GET"]),
        Route(f"{PATH}/{{path:path}}", relay.file, methods=ALL),
        Route("/{path:path}", relay.upstream.pass_on, methods=ALL),
    ]
    return _Via(Starlette(routes=routes, lifespan=lifespan))


def _streamed(held: Download) -> Response:
    length = {} if held.length is None else {"content-length": str(held.length)}
    return StreamingResponse(held.chunks(), 200, length, "application/octet-stream")


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive\n")


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)


class _Via:
    """Says in each answer that a relay gave it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"via", VIA.encode())]
            await send(message)

        await self._app(scope, receive, sent)
