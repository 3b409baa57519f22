"""`POST /hooks/mlflow`: MLflow says that something changed, so look at the registry at once.

A delivery is a wake-up and nothing more: its content is not read, and polling finds whatever it
missed. With several workers, the one that takes the delivery wakes; the others find the change
at their next poll.

MLflow signs deliveries as `mlflow/webhooks/delivery.py` says: `v1,` and the base64 of the
HMAC-SHA256 of `<delivery id>.<timestamp>.<body>`.
"""

import hmac
import re
import time
from base64 import b64encode
from collections.abc import Callable

from cachetools import TTLCache
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bentos.promotion.watcher import Watcher
from bentos.registry.webhooks import PATH
from bentos.web.body import read
from bentos.web.endpoint import Answer, Endpoint
from bentos.web.errors import Failure, HTTPError, Unavailable, respond

ID = "x-mlflow-delivery-id"
TIMESTAMP = "x-mlflow-timestamp"
SIGNATURE = "x-mlflow-signature"
LARGEST = 1024 * 1024  # bytes; a delivery carries a version's description and tags
OLDEST = 300  # seconds
REMEMBERED = 10_000


class Untrusted(HTTPError):
    """A delivery that MLflow did not send, or not now, or sent before."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail, {"www-authenticate": "MLflow-Signature"})


class Deliveries:
    """Tells MLflow's deliveries from forged, old and repeated ones. Without a secret, takes none.

    Only ids of signed deliveries are remembered, so a stranger cannot push them out.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode()
        self._clock = clock
        # A clock that is ahead by OLDEST makes a delivery good for twice as long.
        self._taken: TTLCache[str, bool] = TTLCache(REMEMBERED, ttl=2 * OLDEST)

    def take(self, headers: Headers, body: bytes) -> None:
        """Take a delivery, once. Raises Untrusted, or HTTPError 404 without a secret."""
        if not self._secret:  # anyone can sign with nothing
            raise HTTPError(404, "Webhooks are off: this service has no ASCENSO_WEBHOOK_SECRET")
        identity, timestamp = _required(headers, ID), _required(headers, TIMESTAMP)
        signature = _required(headers, SIGNATURE)
        expected = self._sign(identity.encode("latin-1"), timestamp.encode("latin-1"), body)
        if not hmac.compare_digest(expected, signature.encode("latin-1")):
            raise Untrusted("The delivery is not signed with the secret of this service")
        self._require_recent(timestamp)
        if identity in self._taken:
            raise Untrusted(f"The delivery of this {ID} was taken before")
        self._taken[identity] = True

    def _sign(self, identity: bytes, timestamp: bytes, body: bytes) -> bytes:
        content = b".".join((identity, timestamp, body))
        return b"v1," + b64encode(hmac.digest(self._secret, content, "sha256"))

    def _require_recent(self, timestamp: str) -> None:
        if not re.fullmatch("[0-9]{1,12}", timestamp):
            raise Untrusted(f"{TIMESTAMP} must be whole seconds since 1970")
        age = self._clock() - int(timestamp)
        if abs(age) > OLDEST:
            raise Untrusted(
                f"The delivery is {age:.0f} s old, and {OLDEST} s either way are allowed: "
                "compare the clocks of MLflow and of this service"
            )


def _required(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Untrusted(f"The header {name} is missing: only signed deliveries are taken")
    return value


def endpoint(watcher: Callable[[], Watcher | None], deliveries: Deliveries) -> Endpoint:
    """Where MLflow wakes a watcher, once there is one."""

    async def hook(request: Request) -> Response:
        try:
            await _wake(request, watcher(), deliveries)
        except (HTTPError, ClientDisconnect) as error:  # the stack's router has no handlers
            return await respond(request, error)
        return Response(status_code=202)

    return Endpoint(
        "POST",
        PATH,
        hook,
        "Look at the registry soon, because MLflow says so",
        {
            202: Answer("Woken"),
            401: Answer("Not signed with the webhook's secret, too old, or taken before", Failure),
            404: Answer("Webhooks are off", Failure),
            413: Answer("The body is too large", Failure),
            503: Answer("The service is still starting", Failure),
        },
        description="For MLflow's webhooks; `ascenso webhook install` sets one up.",
    )


async def _wake(request: Request, watcher: Watcher | None, deliveries: Deliveries) -> None:
    body = await read(request.scope, request.receive, LARGEST)
    if watcher is None:  # before it is taken: MLflow sends it again, with the same id
        raise Unavailable("The service is still starting")
    deliveries.take(request.headers, body)
    watcher.wake()
