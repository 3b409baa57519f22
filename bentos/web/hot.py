"""The fast route: bytes -> rows -> batch -> bytes, with nothing in between."""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Generic

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from bentos.serving.batching import Answer, Answered, NoRelease, QueueFull, Row
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Mismatch
from bentos.web.body import Decoder, read
from bentos.web.errors import (
    HTTPError,
    NotReady,
    Overloaded,
    Problem,
    UnprocessableBody,
    unexpected,
)
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.metrics import REQUEST_SECONDS, REQUESTS

Header = tuple[bytes, bytes]
MISMATCH = "schema_mismatch"  # the type of a problem with columns, shapes or params


class Door:
    """An ASGI app that answers POSTs to one path, and counts them."""

    def __init__(self, service: str, path: str) -> None:
        self.path = path
        self._service = service
        self._seconds = REQUEST_SECONDS.labels(service, path)

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """Status, headers and body. Raises HTTPError."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, headers, body = await self.counted(scope, receive)
        except ClientDisconnect:
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def counted(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """As `answer`, with errors as answers, too. Raises Starlette's ClientDisconnect."""
        started = time.perf_counter()
        try:
            status, headers, body = await self.answer(scope, receive)
        except HTTPError as error:
            status, headers, body = error.render()
        except ClientDisconnect:
            raise
        except Exception as error:
            status, headers, body = unexpected(error, f"POST {self.path}").render()
        self._seconds.observe(time.perf_counter() - started)
        REQUESTS.labels(self._service, self.path, status).inc()
        return status, headers, body


class Hot(Door, Generic[Row, Answer]):
    """One row or a list of rows in, as many answers out."""

    def __init__(
        self, service: str, path: str, slot: Slot[Row, Answer], row: type[Row], timeout: float
    ) -> None:
        bounded: Any = Annotated[
            list[row],  # type: ignore[valid-type]
            msgspec.Meta(max_length=slot.limits.rows_per_call),
        ]
        super().__init__(service, path)
        self.slot = slot
        self.row = row
        self.timeout = timeout
        self._decode: Decoder[Row | list[Row]] = Decoder(row | bounded)
        self._encode = msgspec.json.Encoder().encode

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the rows of a body."""
        value = self._decode(await read(scope, receive, self.slot.limits.body_bytes))
        many = isinstance(value, list)
        rows: list[Row] = value if isinstance(value, list) else [value]
        answered = await predict(self.slot, rows, self.timeout)
        body = self._encode(answered.answers if many else answered.answers[0])
        return 200, headers_of(body, answered.release), body


def headers_of(body: bytes, release: Release) -> list[Header]:
    """The headers of an answer in JSON by a release."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (VERSION_HEADER.encode(), spelled(str(release)).encode()),
    ]


async def predict(
    slot: Slot[Row, Answer], rows: Sequence[Row], seconds: float
) -> Answered[Answer]:
    """Ask a slot, with its refusals as HTTP errors.

    Raises NotReady, Overloaded, or HTTPError 504 after so many seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            return await slot.predict(rows)
    except NoRelease:
        raise _not_ready(slot) from None
    except QueueFull as error:
        raise Overloaded(f"{slot.name} is overloaded: {error}") from None
    except BadInput as error:
        raise unfit(error) from None
    except TimeoutError:
        if slot.live is None:
            raise _not_ready(slot) from None
        raise HTTPError(504, f"{slot.name} took longer than {seconds:.0f} s") from None


def _not_ready(slot: Slot[Any, Any]) -> NotReady:
    return NotReady(f"No version of {slot.name} serves yet: {slot.hindrance}")


def unfit(error: BadInput) -> UnprocessableBody:
    """The 422 for a value that the model cannot take, which names its row and column."""
    place = [part for part in (error.row, error.column) if part is not None and part != ""]
    kind = MISMATCH if isinstance(error, Mismatch) else "value_error"
    return UnprocessableBody(Problem(["body", *place], error.message, kind))


def version_headers(answered: Answered[Any]) -> dict[str, str]:
    """The header that tells which release answered."""
    return {VERSION_HEADER: spelled(str(answered.release))}
