"""MLflow's scoring server, for each model: `/NAME/invocations`, `/NAME/ping`, `/NAME/health`.

A model that is served alone answers without its name, too. Errors are `{"error_code": ...,
"message": ...}`, and wrong input is a 400, as MLflow's `mlflow.pyfunc.scoring_server` has them.
"""

import re
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from bentos.models.calls import Codecs, Models, Row, ask, find, live
from bentos.models.doors import Doors
from bentos.protocols.invocations import Invocations, Unsupported
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import Batch
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import JSON, HTTPError, NotReady, Rendered, UnprocessableBody
from bentos.web.hot import MISMATCH, Door, headers_of, late
from bentos.web.whole import Header

MLFLOW = "3.17.2"  # whose scoring server this one is like
PATH = re.compile(r"(?:/([^/]+))?/invocations")
PLACES = re.compile(r"(?:/[^/]+)?/(?:invocations|ping|health|version)")  # of MLflow's server
CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE"}


class Invoked(Door):
    """The fast route of a model: `POST /NAME/invocations`."""

    def __init__(self, slot: Slot[Row, Row], codecs: Codecs[Invocations], timeout: float) -> None:
        super().__init__("models", f"{slot.name}/invocations", timeout)
        self.slot = slot
        self._codecs = codecs

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The predictions for the rows of a body."""
        body = await read(scope, receive, self.slot.limits.body_bytes)
        kind = Headers(scope=scope).get("content-type", JSON)

        def decoded(release: Release) -> Batch:
            try:
                return self._codecs.of(self.slot, release).decode(body, kind).batch
            except Unsupported as error:
                raise HTTPError(415, str(error)) from None

        answers, release = await ask(self.slot, decoded, self.timeout)
        given = self._codecs.of(self.slot, release).encode(answers)
        return 200, headers_of(given, release), given

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)

    def refused(self, error: HTTPError) -> Rendered:
        """An error in MLflow's form."""
        return refusal(error)


class Scoring:
    """The endpoints, for the models of a rack; a call is given up after `timeout` seconds."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self._rack = rack
        codecs = Codecs(lambda release, schema, most: Invocations(schema, most))
        self.doors = Doors(rack, PATH, lambda slot: Invoked(slot, codecs, timeout))

    @property
    def endpoints(self) -> list[Endpoint]:
        """What MLflow's server answers, under the name of each model."""
        alone = self._below("") if self._rack.alone else [self._hint()]
        return [*alone, *self._below("/{name}")]

    def _below(self, place: str) -> list[Endpoint]:
        missing = Answer("No such model is promoted; those that are")
        serves = {200: Answer("It does"), 404: missing, **NOT_READY}
        return [
            Endpoint(
                "POST",
                f"{place}/invocations",
                self._unknown,  # Invoked answers for the models that are
                "Answers of a model, as MLflow's scoring server gives them",
                {200: Answer('{"predictions": [...]}'), 404: missing, **NOT_READY},
                body=Any,
                examples={"one": {"dataframe_records": [{"x": 1.5}]}},
            ),
            Endpoint("GET", f"{place}/ping", self._ping, "Whether a model serves", serves),
            Endpoint("GET", f"{place}/health", self._ping, "Whether a model serves", serves),
            Endpoint("GET", f"{place}/version", self._version, "The release of MLflow that this "
                     "is like", {200: Answer("It")}),
        ]  # fmt: skip

    def _hint(self) -> Endpoint:
        return Endpoint("POST", "/invocations", self._nameless, include_in_schema=False)

    def _slot(self, request: Request) -> Slot[Row, Row]:
        return find(self._rack, request.path_params.get("name", self._rack.alone))

    async def _unknown(self, request: Request) -> Response:
        """`POST /NAME/invocations` where no such model is promoted."""
        live(self._slot(request))
        raise NotReady("The model came this moment: call again")

    async def _ping(self, request: Request) -> Response:
        live(self._slot(request))
        return Response("\n", media_type=JSON)

    async def _version(self, request: Request) -> Response:
        return Response(MLFLOW, media_type=JSON)

    async def _nameless(self, request: Request) -> Response:
        message = "Name the model, as in /NAME/invocations; or serve one alone: models.alone"
        raise HTTPError(404, message)


def refusal(error: HTTPError) -> Rendered:
    """`{"error_code": ..., "message": ...}`; what cannot be read is a 400."""
    status = 400 if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else error.status
    body = {"error_code": _code(error, status), "message": error.sentence}
    return error.rendered(status, msgspec.json.encode(body))


def _code(error: HTTPError, status: int) -> str:
    if isinstance(error, UnprocessableBody) and error.detail[0].type == MISMATCH:
        return "INVALID_PARAMETER_VALUE"
    return CODES.get(status, HTTPStatus(status).name)
