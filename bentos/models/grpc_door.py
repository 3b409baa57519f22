"""The door of a gRPC method: guarded, bounded in time, counted, its errors by gRPC's codes.

A method is registered as one that takes a stream of bytes, which is the same on the wire. So
callers are looked at before their message is read, one who stalls does not wait for ever, and
bytes that are no message are the caller's error instead of the server's.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import grpc
from starlette.types import Scope

from bentos import tracing
from bentos.serving.witness import CALL_ID
from bentos.web.auth.guard import Guard
from bentos.web.errors import HTTPError, unexpected
from bentos.web.metrics import REQUEST_SECONDS, REQUESTS
from bentos.web.request_ids import HEADER, request_id
from bentos.web.traced import called

Code = grpc.StatusCode
CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
CLOSED = (401, 403, 429)  # to the caller, whatever comes next
LONGEST = 1000  # bytes of a message: percent-encoded, in a header; clients take 8 KB of these
RETRY = "retry-after"
PUSHBACK = (
    "grpc-retry-pushback-ms"  # https://github.com/grpc/proposal/blob/master/A6-client-retries.md
)


@dataclass
class Call:
    """One message of a caller: what it is counted as, and what goes with its answer."""

    route: str
    data: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class GrpcMethod:
    """One method of a service; `path` is its own, for the guard.

    A message must come whole, and a call be answered, within so many `seconds` each; the next
    message of a stream within `idle` seconds.
    """

    def __init__(
        self,
        service: str,
        path: str,
        guard: Guard,
        answer: Callable[[Call], Awaitable[bytes]],
        seconds: float,
        idle: float,
    ) -> None:
        self._service = service
        self._path = path
        self._method = path.rpartition("/")[2]
        self._guard = guard
        self._answer = answer
        self._seconds = seconds
        self._idle = idle
        self.calls = 0  # that came, and whose answers are not sent yet

    async def unary(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        """Answer the one message of a call."""
        self.calls += 1
        context.add_done_callback(self._sent)
        call = Call(self._method)
        answer = await self._answered(call, context, messages)
        if isinstance(answer, HTTPError):
            await _abort(context, call, answer)
            raise answer  # never: the line above ends the call
        context.set_trailing_metadata(tuple(call.headers.items()))
        return answer

    async def stream(
        self, messages: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes | HTTPError]:
        """Answer message by message, in order; one that is wrong does not end the others."""
        while (data := await self._following(messages, context)) is not None:
            self.calls += 1
            try:
                call = Call(self._method, data)
                answer = await self._answered(call, context)
                if isinstance(answer, HTTPError) and answer.status in CLOSED:
                    await _abort(context, call, answer)
                yield answer
            finally:
                self.calls -= 1

    async def _following(self, messages: AsyncIterator[bytes], context: Any) -> bytes | None:
        """The next message of a stream, or None at its end; a stream that only waits is ended."""
        try:
            return await _next(messages, self._idle)
        except HTTPError as error:
            await _abort(context, Call(self._method), error)
            raise  # never: the line above ends the stream

    def _sent(self, context: object) -> None:
        self.calls -= 1

    async def _answered(
        self, call: Call, context: Any, messages: AsyncIterator[bytes] | None = None
    ) -> bytes | HTTPError:
        """The answer, or what is wrong; the message is read of `messages`, unless it is there."""
        tracer = tracing.tracer()
        if tracer is None:
            return await self._counted(call, context, messages)
        with called(tracer, self._path[1:], scope_of(self._path, context)) as span:
            answer = await self._counted(call, context, messages)
            status = answer.status if isinstance(answer, HTTPError) else 200
            span.set_attribute("rpc.system", "grpc")
            span.set_attribute("ascenso.route", call.route)
            if status >= 500:
                tracing.fail(span, CODES.get(status, Code.INTERNAL).name)
            return answer

    async def _counted(
        self, call: Call, context: Any, messages: AsyncIterator[bytes] | None
    ) -> bytes | HTTPError:
        started = time.perf_counter()
        answer: bytes | HTTPError
        try:
            await self._admit(call, context)
            if messages is not None:
                call.data = await _only(messages, self._seconds)
            answer = await self._answer(call)
        except HTTPError as error:
            answer = error
        except Exception as error:
            answer = unexpected(error, f"{self._path} {call.headers}")
        status = answer.status if isinstance(answer, HTTPError) else 200
        labels = self._service, call.route
        REQUESTS.add((*labels, str(status)))
        REQUEST_SECONDS.observe(labels, time.perf_counter() - started)
        return answer

    async def _admit(self, call: Call, context: Any) -> None:
        """Raise HTTPError as the guard of HTTP does."""
        scope = scope_of(self._path, context)
        call.headers[HEADER] = request_id(scope).decode() or secrets.token_hex(8)
        CALL_ID.set(call.headers[HEADER])
        try:
            await self._guard.admit(scope)
        except HTTPError:
            call.route = "refused"
            raise


def scope_of(path: str, context: Any) -> Scope:
    """A call as the guard knows it: a POST to the method's path, its metadata as headers."""
    metadata = context.invocation_metadata() or ()
    headers = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in metadata
    ]
    kind, _, address = context.peer().partition(":")
    host, _, port = unquote(address).rpartition(":")
    client = (host.strip("[]"), int(port)) if kind in ("ipv4", "ipv6") else None
    return {"type": "http", "method": "POST", "path": path, "headers": headers, "client": client}


async def _only(messages: AsyncIterator[bytes], seconds: float) -> bytes:
    """The message of a call. Raises HTTPError 400 for none, 408 for one that does not come."""
    data = await _next(messages, seconds)
    if data is None:
        raise HTTPError(400, "No message came: send one")
    return data


async def _next(messages: AsyncIterator[bytes], seconds: float) -> bytes | None:
    """The next message, or None at the end. Raises HTTPError 408 for one that does not come."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(aiter(messages), None)
    except TimeoutError:
        raise HTTPError(408, f"The message did not come within {seconds:.0f} s") from None


async def _abort(context: Any, call: Call, error: HTTPError) -> None:
    """End a call with what was wrong, and when to come again."""
    headers = call.headers | error.headers
    if RETRY in headers:
        headers[PUSHBACK] = str(1000 * int(headers[RETRY]))
    code = CODES.get(error.status, Code.INTERNAL)
    message = error.sentence.encode()[:LONGEST].decode(errors="ignore")
    await context.abort(code, message, tuple(headers.items()))
