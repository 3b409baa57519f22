"""The admin key: what wants it, and whether a request brought it."""

import hmac
from dataclasses import replace
from typing import Final, Literal, cast

from starlette.requests import Request
from starlette.responses import Response

from bentos.itransformer.messages import NOT_AUTHORIZED
from bentos.settings import Settings
from bentos.web.auth.gate import Gate
from bentos.web.endpoint import Endpoint, Simple
from bentos.web.errors import HTTPError

Kind = Literal["everything", "deletes", "uploads", "training"]
EVERYTHING: Final = "everything"


class AdminKey:
    """Protects kinds of endpoints, as `admin.protects` says; everything is protected always."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._gate = gate
        self._key = settings.admin_key.get_secret_value().encode()
        self._protects = {EVERYTHING, *settings.admin.protects}

    def protect(self, kind: Kind, endpoint: Endpoint) -> Endpoint:
        """An endpoint that changes something; it wants the key if its kind is protected.

        The token of an admin does as well, but not to clear everything.
        """
        if kind not in self._protects:
            return replace(endpoint, access="admins")
        handler = cast("Simple", endpoint.handler)  # what changes something is no fast route
        return replace(endpoint, access="key", handler=self._guarded(kind, handler))

    def _guarded(self, kind: Kind, handler: Simple) -> Simple:
        async def guarded(request: Request) -> Response:
            is_admin = kind != EVERYTHING and self._gate.is_admin(request.scope)
            if not self._brought(request) and not is_admin:
                raise HTTPError(401, NOT_AUTHORIZED)
            return await handler(request)

        guarded.__name__ = handler.__name__  # it names the route in the metrics
        return guarded

    def _brought(self, request: Request) -> bool:
        """Whether a request brought the key; none does where there is no key."""
        given = request.headers.get("x-admin-key", "").encode()
        return hmac.compare_digest(given, self._key) and bool(self._key)
