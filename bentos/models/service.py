"""models: every promoted model that has no service of its own, by its registered name."""

from typing import Any

import bentoml
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from bentos.bento.service import Served, quiet, tabled
from bentos.models import page
from bentos.models.calls import find, live, run
from bentos.models.doors import Doors
from bentos.models.invocations import Scoring
from bentos.models.openapi import document
from bentos.models.v2 import OpenInference
from bentos.web import docs
from bentos.web.app import NOT_READY, App, to_json
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure, NotReady
from bentos.web.headers import PAGE_HEADERS

rack = tabled(run)


async def unknown(request: Request) -> Response:
    """`POST /{name}/predict` where no such model is promoted."""
    live(find(rack, request.path_params["name"]))
    raise NotReady("The model came this moment: call again")


async def listed(request: Request) -> Response:
    """`GET /`: the models that are promoted."""
    return HTMLResponse(page.listed(rack.slots), headers=PAGE_HEADERS)


async def model(request: Request) -> Response:
    """`GET /{name}`: what one model takes and gives."""
    slot = find(rack, request.path_params["name"])
    address = str(request.url.replace(query="")).rstrip("/")
    return HTMLResponse(page.model(slot, address), headers=PAGE_HEADERS)


async def described(request: Request) -> Response:
    """`GET /{name}/openapi.json`."""
    slot = find(rack, request.path_params["name"])
    return to_json(document(slot.name, live(slot)))


def operations() -> list[Operation]:
    """What the service answers beside what each service does."""
    missing: Any = {404: Answer("No such model is promoted; those that are", Failure)}
    said = "One row or a list of rows, by the model's schema: see /{name}/docs."
    return [
        Operation("GET", "/{name}", "What a model takes and gives", {200: Answer("A page")}),
        Operation(
            "POST", "/{name}/predict", "Answers of a model to rows of its columns",
            {200: Answer("One answer or a list, in order"), **missing, **NOT_READY},
            description=said, body=Any, examples={"one": {"x": 1.5}},
        ),
        Operation(
            "POST",
            "/{name}/invocations",
            "The same, as MLflow's scoring server",
            {200: Answer('{"predictions": [...]}'), **missing, **NOT_READY},
            body=Any,
            examples={"one": {"dataframe_records": [{"x": 1.5}]}},
        ),
    ]  # fmt: skip


app = App(
    "models",
    "models",
    "1",
    [],
    routes=[
        Route("/", listed),
        Route("/{name}/predict", unknown, methods=["POST"]),
        *OpenInference(rack).routes,
        *Scoring(rack).routes,
        Route("/{name}/openapi.json", described),
        Route("/{name}/docs", docs.reader("Model")),
        Mount("/{name}/docs/assets", docs.Assets()),
    ],
    last=[Route("/{name}", model)],
    doors=Doors(rack),
    operations=operations(),
    racks=[rack],
)


@bentoml.asgi_app(app)
@bentoml.service(name="models", **quiet())
class Models(Served):
    """Every promoted model that has no service of its own."""

    apps = (app,)
