"""The native door to many models: BentoML's clients call `predict(name=..., rows=...)`."""

from typing import Any

import bentoml
from starlette.requests import Request
from starlette.responses import Response

from bentos.web.auth.guard import Guard
from bentos.web.errors import HTTPError
from bentos.web.hot import Door
from bentos.web.request_ids import noted


class Call(bentoml.IODescriptor):  # type: ignore[misc]
    """What clients learn of a call; the body is left to the door."""

    name: str
    rows: Any

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Any:
        """Nothing yet: reading it here would cost the errors their form."""
        return cls.model_construct(name="", rows=None)


class Named:
    """Lets a door answer BentoML's clients, in its own words and with its own statuses.

    BentoML routes its own APIs beside the service's app, so the guard is asked here as well.
    """

    def __init__(self, guard: Guard, door: Door) -> None:
        self._guard = guard
        self._door = door

    async def answer(self, context: bentoml.Context) -> Response:
        """The answer to the call that is being made."""
        request: Request = context.request
        noted(request.scope)
        try:
            await self._guard.admit(request.scope)
            status, headers, body = await self._door.counted(request.scope, request.receive)
        except HTTPError as error:
            status, headers, body = error.render()
        response = Response(body, status)
        response.raw_headers = headers
        context.response.status_code = status  # BentoML takes it from there, whatever comes back
        return response
