"""MLflow's scoring server, for each model: `/NAME/invocations`, `/NAME/ping`, `/NAME/health`.

Its errors are `{"error_code": ..., "message": ...}`, and wrong input is a 400, as MLflow's
`mlflow.pyfunc.scoring_server` has them.
"""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bentos.models.calls import Codecs, Models, ask, find, live
from bentos.protocols.invocations import Invocations, Unsupported
from bentos.serving.release import Release
from bentos.tensors import Batch
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import JSON, HTTPError
from bentos.web.headers import VERSION_HEADER, spelled

CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE"}


class Scoring:
    """The endpoints, for the models of a rack; a call is given up after `timeout` seconds."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self._rack = rack
        self._timeout = timeout
        self._codecs = Codecs(lambda release, schema, most: Invocations(schema, most))

    @property
    def endpoints(self) -> list[Endpoint]:
        """What MLflow's server answers, under the name of each model."""
        missing = Answer("No such model is promoted; those that are")
        serves = {200: Answer("It does"), 404: missing, **NOT_READY}
        return [
            Endpoint(
                "POST",
                "/{name}/invocations",
                self._invocations,
                "Answers of a model, as MLflow's scoring server gives them",
                {200: Answer('{"predictions": [...]}'), 404: missing, **NOT_READY},
                body=Any,
                examples={"one": {"dataframe_records": [{"x": 1.5}]}},
            ),
            Endpoint("GET", "/{name}/ping", self._ping, "Whether a model serves", serves),
            Endpoint("GET", "/{name}/health", self._ping, "Whether a model serves", serves),
        ]

    async def _invocations(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except HTTPError as error:
            return _refusal(error)

    async def _answer(self, request: Request) -> Response:
        slot = find(self._rack, request.path_params["name"])
        body = await read(request.scope, request.receive, slot.limits.body_bytes)
        kind = request.headers.get("content-type", JSON)

        def decoded(release: Release) -> Batch:
            try:
                return self._codecs.of(slot, release).decode(body, kind).batch
            except Unsupported as error:
                raise HTTPError(415, str(error)) from None

        answers, release = await ask(slot, decoded, self._timeout)
        given = self._codecs.of(slot, release).encode(answers)
        return Response(given, headers={VERSION_HEADER: spelled(str(release))}, media_type=JSON)

    async def _ping(self, request: Request) -> Response:
        try:
            live(find(self._rack, request.path_params["name"]))
        except HTTPError as error:
            return _refusal(error)
        return Response("\n", media_type=JSON)


def _refusal(error: HTTPError) -> Response:
    status = 400 if error.status == HTTPStatus.UNPROCESSABLE_ENTITY else error.status
    body = {"error_code": CODES.get(status, HTTPStatus(status).name), "message": error.sentence}
    response = to_json(body, status)
    response.headers.update(error.headers)
    return response
