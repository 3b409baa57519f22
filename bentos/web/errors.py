"""The answers of a service that are not 200.

HTTPError
  x BodyTooLarge       413
  x UnsupportedBody    415
  x UnprocessableBody  422
  x Unavailable        503
    + NotReady
    + Overloaded
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler, Scope, Send

from bentos.web.request_ids import place

logger = logging.getLogger(__name__)

JSON = "application/json"
LONGEST_ECHO = 200
CLIENT_CLOSED_REQUEST = 499  # nginx's number; nobody is left to read it, but access logs are


class Problem(msgspec.Struct, frozen=True):
    """One fault of a request, in FastAPI's shape: `loc` is `["body", 3, "presion"]`."""

    loc: list[str | int]
    msg: str
    type: str


class Problems(msgspec.Struct, frozen=True):
    """The body of a 422."""

    detail: list[Problem]


class Failure(msgspec.Struct, frozen=True):
    """The body of every other error."""

    detail: str


class HTTPError(Exception):
    """Ends a request with `status`, `detail` (a sentence, or what is wrong where), `headers`."""

    def __init__(
        self,
        status: int,
        detail: str | list[Problem],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"

    @property
    def sentence(self) -> str:
        """What is wrong, in words alone."""
        if isinstance(self.detail, str):
            return self.detail
        return "; ".join(problem.msg for problem in self.detail)

    def body(self) -> bytes:
        """`{"detail": ...}` as JSON."""
        return msgspec.json.encode({"detail": self.detail})

    def render(self) -> "Rendered":
        """Status, headers and body as an ASGI server wants them."""
        return self.rendered(self.status, self.body())

    def rendered(self, status: int, body: bytes) -> "Rendered":
        """The same in another form: `body` is JSON."""
        headers = {"content-type": JSON, "content-length": str(len(body)), **self.headers}
        pairs = [
            (name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()
        ]
        return status, pairs, body

    async def answer(self, send: Send) -> None:
        """Send it, from an ASGI app."""
        status, headers, body = self.render()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


Rendered: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]
Refused: TypeAlias = Callable[[Scope, HTTPError], Rendered]
Handlers: TypeAlias = dict[Any, ExceptionHandler]


class BodyTooLarge(HTTPError):
    """The body has more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413, f"The body is larger than {limit:,} bytes; send fewer rows at a time"
        )


class UnsupportedBody(HTTPError):
    """The body is of a kind, or packed in a way, that is not read here."""

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(415, detail, headers)


class UnprocessableBody(HTTPError):
    """The request's values cannot be used; every problem names its field."""

    detail: list[Problem]

    def __init__(self, *problems: Problem) -> None:
        super().__init__(422, list(problems))


class Unavailable(HTTPError):
    """Not now: try again after `retry_after` seconds, one at least."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(503, detail, {"retry-after": str(max(1, retry_after))})


class NotReady(Unavailable):
    """No release serves yet."""


class Overloaded(Unavailable):
    """More requests wait than can be answered in time."""


def clip(text: str) -> str:
    """`text` for an error message, cut so that an answer never echoes megabytes."""
    return text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}..."


def unexpected(error: BaseException, where: str) -> HTTPError:
    """A 500 without a trace of what failed; that goes to the log, under the same id."""
    identity = secrets.token_hex(4)
    logger.error("Internal error %s at %r", identity, where, exc_info=error)
    return HTTPError(500, f"Internal error; see the service's log, id {identity}")


def _from_starlette(request: Request, error: HTTPException) -> HTTPError:
    place = f"{request.method} {clip(request.url.path)}"
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = f"Nothing answers at {place}"
    elif error.status_code == 405:
        detail = (
            f"{place} is not allowed; use {(error.headers or {}).get('Allow', 'another method')}"
        )
    return HTTPError(error.status_code, detail, error.headers)


def plainly(scope: Scope, error: HTTPError) -> Rendered:
    """An error as it is where no protocol says otherwise."""
    return error.render()


async def respond(request: Request, error: Exception, refused: Refused = plainly) -> Response:
    """The answer to any exception; `refused` gives it the form of its place."""
    if isinstance(error, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if isinstance(error, HTTPException):
        error = _from_starlette(request, error)
    if not isinstance(error, HTTPError):
        error = unexpected(error, place(request.scope, request.url.path))
    status, headers, body = refused(request.scope, error)
    response = Response(body, status)
    response.raw_headers = headers
    return response


def handlers(refused: Refused = plainly) -> Handlers:
    """For `Starlette(exception_handlers=...)`, which raises unexpected errors after answering."""
    answer = partial(respond, refused=refused)
    return dict.fromkeys((HTTPError, HTTPException, ClientDisconnect, Exception), answer)
