"""MLflow's scoring server, for each model: `/NAME/invocations`, `/NAME/ping`, `/NAME/health`.

Its errors are `{"error_code": ..., "message": ...}`, and wrong input is a 400, as MLflow's
`mlflow.pyfunc.scoring_server` has them.
"""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bentos.models.calls import Codecs, Models, ask, find, live
from bentos.protocols.invocations import Invocations, Unsupported
from bentos.serving.release import Release
from bentos.settings import settings
from bentos.tensors import Batch
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.errors import JSON, HTTPError
from bentos.web.headers import VERSION_HEADER, spelled

CODES = {400: "BAD_REQUEST", 404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE"}


class Scoring:
    """The routes, for the models of a rack."""

    def __init__(self, rack: Models) -> None:
        self._rack = rack
        self._codecs = Codecs(lambda release, schema, most: Invocations(schema, most))

    @property
    def routes(self) -> list[BaseRoute]:
        """What MLflow's server answers, under the name of each model."""
        return [
            Route("/{name}/invocations", self._invocations, methods=["POST"]),
            Route("/{name}/ping", self._ping),
            Route("/{name}/health", self._ping),
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

        seconds = settings().services.request_timeout_seconds
        answers, release = await ask(slot, decoded, seconds)
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
