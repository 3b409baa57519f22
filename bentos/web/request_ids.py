"""What callers call their calls: the header `x-request-id`, which comes back with the answer."""

import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.witness import CALL_ID
from bentos.web.headers import first

HEADER = "x-request-id"
NAME = HEADER.encode()
PLAIN = re.compile(rb"[!-~]{1,128}")


def request_id(scope: Scope) -> bytes:
    """The id that a caller gave a call; nothing without one, or where it may not go back."""
    given = first(scope, NAME)
    return given if PLAIN.fullmatch(given) else b""


def noted(scope: Scope) -> bytes:
    """As `request_id`; whoever sees the call's rows then knows it, too."""
    given = request_id(scope)
    if given:
        CALL_ID.set(given.decode())
    return given


def place(scope: Scope, path: str) -> str:
    """Where a call went, for the log: its method, path, and id if it has one."""
    return f"{scope['method']} {path} {request_id(scope).decode()}".rstrip()


def returned(app: ASGIApp) -> ASGIApp:
    """`app`, whose answers carry the ids of their calls."""

    def answer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        given = noted(scope) if scope["type"] == "http" else b""
        return app(scope, receive, _with(given, send) if given else send)

    return answer


def _with(given: bytes, send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (NAME, given)]}
        await send(message)

    return sending
