import asyncio
from collections.abc import Iterable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bentos.web.whole import send_whole

pytestmark = pytest.mark.anyio
ASKED = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"
HEADERS = [(b"content-length", b"2")]


class Line(asyncio.Transport):
    """What a server writes to a caller, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.closed_after = len(self.written)

    def is_closing(self) -> bool:
        return self.closed_after is not None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send_whole(send, 200, HEADERS, b"{}")


async def asked(line: Line, *calls: bytes) -> None:
    """Send these to a server at the other end of a line, and let it answer."""
    config = uvicorn.Config(app, proxy_headers=False, log_config=None)
    config.load()
    server = HttpToolsProtocol(config, ServerState(), {})
    server.connection_made(line)
    for call in calls:
        server.data_received(call)
    while server.tasks:  # noqa: ASYNC110 - uvicorn tells nobody of them
        await asyncio.sleep(0)
    server.connection_lost(ConnectionResetError())


async def test_a_whole_answer_is_one_write() -> None:
    line = Line()
    await asked(line, ASKED, ASKED)
    assert len(line.written) == 2
    for answer in line.written:
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\n{}")


async def test_a_connection_closes_after_the_answer() -> None:
    line = Line()
    await asked(line, ASKED.replace(b"host", b"connection: close\r\nhost"))
    assert line.closed_after == len(line.written) == 1
    assert line.written[0].endswith(b"{}")
