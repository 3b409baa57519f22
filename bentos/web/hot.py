"""The fast route: bytes -> rows -> batch -> bytes, with nothing in between."""

import asyncio
import time
from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from typing import Annotated, Any, Generic

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bentos.serving.batching import NoRelease, QueueFull
from bentos.serving.budget import CannotOpen
from bentos.serving.failures import FailedTooOften, Failing
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.waiting import Answer, Answered, Late, Row
from bentos.tensors import BadInput, Mismatch
from bentos.web.body import Decoder, read
from bentos.web.deadlines import Deadlines
from bentos.web.endpoint import Simple
from bentos.web.errors import (
    JSON,
    HTTPError,
    NotReady,
    Overloaded,
    Problem,
    UnprocessableBody,
    unexpected,
)
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.metrics import REQUEST_SECONDS, REQUESTS
from bentos.web.request_ids import place
from bentos.web.whole import Header, send_whole

MISMATCH = "schema_mismatch"  # the type of a problem with columns, shapes or params


class Door:
    """An ASGI app that answers POSTs to one path, and counts them."""

    def __init__(self, service: str, path: str, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self.labels = (service, path)
        self._deadlines = Deadlines(timeout)

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """Status, headers and body. Raises HTTPError."""
        raise NotImplementedError

    def refused(self, error: HTTPError) -> tuple[int, list[Header], bytes]:
        """An error in the form that this door's callers know."""
        return error.render()

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return HTTPError(504, f"POST {self.path} took longer than {self.timeout:.0f} s")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, headers, body = await self.counted(scope, receive)
        except ClientDisconnect:
            return
        await send_whole(send, status, headers, body)

    async def counted(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """As `answer`, with errors as answers, too. Raises Starlette's ClientDisconnect."""
        started = time.perf_counter()
        try:
            status, headers, body = await self._in_time(scope, receive)
        except HTTPError as error:
            status, headers, body = self.refused(error)
        except ClientDisconnect:
            raise
        except Exception as error:
            status, headers, body = self.refused(unexpected(error, place(scope, self.path)))
        REQUEST_SECONDS.observe(self.labels, time.perf_counter() - started)
        REQUESTS.add((*self.labels, str(status)))
        return status, headers, body

    async def _in_time(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        task: Any = asyncio.current_task()
        self._deadlines.begin(task)
        try:
            return await self.answer(scope, receive)
        except asyncio.CancelledError:
            if self._deadlines.end(task) or task.uncancel():  # somebody else ended it
                raise
            raise self.late() from None
        finally:
            self._deadlines.end(task)


class Quick(Door):
    """A door to a handler that gives whole answers."""

    def __init__(self, service: str, path: str, handler: Simple, timeout: float) -> None:
        super().__init__(service, path, timeout)
        self._handler = handler

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """What the handler answers."""
        return whole(await self._handler(Request(scope, receive)))


class Hot(Door, Generic[Row, Answer]):
    """One row or a list of rows in, as many answers out."""

    def __init__(
        self, service: str, path: str, slot: Slot[Row, Answer], row: type[Row], timeout: float
    ) -> None:
        bounded: Any = Annotated[
            list[row],  # type: ignore[valid-type]
            msgspec.Meta(max_length=slot.limits.rows_per_call),
        ]
        super().__init__(service, path, timeout)
        self.slot = slot
        self.row = row
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

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)


def whole(response: Response) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an answer that is no stream."""
    return response.status_code, response.raw_headers, bytes(response.body)


def headers_of(body: bytes, release: Release, kind: str = JSON) -> list[Header]:
    """The headers of an answer by a release."""
    return [(b"content-length", b"%d" % len(body)), *_own(str(release), kind)]


@lru_cache(1024)
def _own(release: str, kind: str) -> tuple[Header, Header]:
    """What all answers of a release have: made at its first one."""
    version = VERSION_HEADER.encode(), spelled(release).encode()
    return (b"content-type", kind.encode()), version


async def predict(
    slot: Slot[Row, Answer], rows: Sequence[Row], seconds: float, version: str | None = None
) -> Answered[Answer]:
    """Ask a slot, or one of its versions, for so many seconds, with its refusals as HTTP errors.

    Raises NotReady, Overloaded, UnprocessableBody, or HTTPError 504.
    """
    try:
        return await slot.predict(rows, version, time.monotonic() + seconds)
    except Late:
        raise late(slot, seconds) from None
    except NoRelease:
        raise _not_ready(slot) from None
    except QueueFull as error:
        raise Overloaded(f"{slot.name} is overloaded: {error}", ceil(error.seconds)) from None
    except BadInput as error:
        raise unfit(error) from None
    except (Failing, FailedTooOften) as error:
        raise NotReady(f"{slot.label}: {error}") from None
    except CannotOpen as error:
        said = "is closed to make room for others, and cannot be opened again"
        raise NotReady(f"{slot.label} {said}: {error}") from None


def late(slot: Slot[Any, Any], seconds: float) -> HTTPError:
    """What is answered when a slot took longer than so many seconds."""
    if slot.live is None:
        return _not_ready(slot)
    if not slot.live.is_open:
        return NotReady(f"{slot.label} is still being opened: call again")
    return HTTPError(504, f"{slot.name} took longer than {seconds:.0f} s")


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
