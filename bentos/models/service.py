"""models: every promoted model that has no service of its own, by its registered name."""

from functools import cached_property
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from starlette.requests import Request
from starlette.responses import Response

from bentos.bento.named import Call, Named
from bentos.bento.service import OPTIONS, Served
from bentos.models import invocations, page, v2_infer
from bentos.models.calls import Models as Rack
from bentos.models.calls import find, live, run
from bentos.models.doors import END, PATH, ByName, Doors, Predictions, any_of
from bentos.models.invocations import Scoring
from bentos.models.openapi import document
from bentos.models.v2 import OpenInference
from bentos.settings import Settings
from bentos.web import docs
from bentos.web.app import App, Server, to_json
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import JSON, Failure, HTTPError, NotReady, Rendered
from bentos.web.following import Following
from bentos.web.slots import tabled

MISSING = {404: Answer("No such model is promoted; those that are", Failure)}


class Pages:
    """What people read of the models of a rack."""

    def __init__(self, settings: Settings) -> None:
        self.rack = tabled(settings, run)
        self.following = Following(racks=[self.rack])
        self._assets = docs.Assets()

    @property
    def endpoints(self) -> list[Endpoint]:
        """What lies below a model's name."""
        return [
            Endpoint(
                "POST",
                "/{name}/predict",
                self.unknown,  # Doors answers for the models that are
                "Answers of a model to rows of its columns",
                {200: Answer("One answer or a list, in order"), **MISSING, **NOT_READY},
                description="One row or a list of rows, by the model's schema: see /{name}/docs.",
                body=Any,
                examples={"one": {"x": 1.5}},
            ),
            Endpoint(
                "GET",
                "/{name}/releases",
                self.releases,
                "What serves of a model, since when, and who was refused why",
                {200: Answer("As one of /releases"), **MISSING},
            ),
            Endpoint(
                "GET",
                "/{name}/history",
                self.history,
                "What served of a model when",
                {200: Answer("As /history, of which it takes `at` and `limit`"), **MISSING},
            ),
            Endpoint(
                "GET",
                "/{name}/openapi.json",
                self.described,
                "The OpenAPI document of a model",
                {200: Answer("It"), **MISSING, **NOT_READY},
            ),
            Endpoint(
                "GET",
                "/{name}/docs",
                docs.reader("Model"),
                "A page to try a model",
                {200: Answer("It")},
            ),
            Endpoint(
                "GET", "/{name}/docs/assets/{file:path}", self.asset, include_in_schema=False
            ),
        ]

    async def unknown(self, request: Request) -> Response:
        """`POST /{name}/predict` where no such model is promoted."""
        live(find(self.rack, request.path_params["name"]))
        raise NotReady("The model came this moment: call again")

    async def releases(self, request: Request) -> Response:
        """`GET /{name}/releases`."""
        return to_json(find(self.rack, request.path_params["name"]).report())

    async def history(self, request: Request) -> Response:
        """`GET /{name}/history`, also of a model of which nothing serves any more."""
        query = [("model", request.path_params["name"]), *request.query_params.multi_items()]
        return to_json(await self.following.history(query))

    async def described(self, request: Request) -> Response:
        """`GET /{name}/openapi.json`."""
        slot = find(self.rack, request.path_params["name"])
        return to_json(document(slot.name, live(slot)))

    async def asset(self, request: Request) -> Response:
        """`GET /{name}/docs/assets/...`."""
        return await self._assets.get_response(request.path_params["file"], request.scope)


def _by_name(door: ByName) -> Endpoint:
    return Endpoint(
        "POST",
        door.path,
        door,
        "Answers of a model, as BentoML's clients ask for them",
        {
            200: Answer("One answer or a list, in order"),
            **MISSING,
            **NOT_READY,
        },
        body=Any,
        examples={"one": {"name": "wine", "rows": {"x": 1.5}}},
    )


def form(path: str, error: HTTPError) -> Rendered:
    """An error as the callers of a path read it: in the form of the protocol there."""
    if path.startswith("/v2/") or path == "/v2":
        return v2_infer.refusal(error)
    return invocations.refusal(error) if invocations.PLACES.fullmatch(path) else error.render()


def build(settings: Settings, gate: Gate | None = None) -> App:
    """The service, by these settings."""
    pages, timeout = Pages(settings), settings.services.request_timeout_seconds
    predicting = Doors(pages.rack, PATH, lambda slot: Predictions(slot, timeout))
    inference, scoring = OpenInference(pages.rack, timeout), Scoring(pages.rack, timeout)
    app = App(
        "models",
        [
            *pages.endpoints,
            _by_name(ByName(pages.rack, predicting, settings.limits.body_bytes, timeout)),
            *inference.endpoints,
            *scoring.endpoints,
        ],
        pages.following,
        gate or Gate(settings),
        doors=any_of(predicting, scoring.doors, inference.doors),
        form=form,
        asking=page.asking,
        page="/{name}",
    )
    if settings.grpc.port:
        app.servers.append(over_grpc(pages.rack, app, settings))
    return app


def over_grpc(rack: Rack, app: App, settings: Settings) -> Server:
    """The server of gRPC. Raises ValueError without its packages."""
    try:
        from bentos.models.grpc_server import GrpcServer
    except ImportError as error:
        raise ValueError(
            f"grpc.port is {settings.grpc.port}, but {error.name} is not installed: "
            "pip install 'ascenso[grpc]'"
        ) from None
    return GrpcServer(rack, app.guard, settings)


@bentoml.service(name="models", **OPTIONS)
class Models(Served, build=build):
    """Every promoted model that has no service of its own."""

    @cached_property
    def named(self) -> Named:
        """The native door to all models."""
        app = self.site.apps[0]
        return Named(app.guard, app.hot[END])

    @bentoml.api(input_spec=Call)
    async def predict(
        self, name: str, rows: Any, ctx: bentoml.Context
    ) -> Annotated[Any, ContentType(JSON)]:
        """Answer the rows of a model, one or a list, as `/{name}/predict` does."""
        return await self.named.answer(ctx)
