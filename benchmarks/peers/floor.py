"""The bare server: the same answer to everything, which is what HTTP alone can do."""

from starlette.types import Receive, Scope, Send

ANSWER = b'{"cluster":2,"prediccion":1}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer anything."""
    if scope["type"] != "http":
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
