"""Pages that look on: what they are sent, and that they hold up no end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping

import httpx
import msgspec
import pytest
from starlette.responses import StreamingResponse

from bentos.web.console import live
from bentos.web.console.live import Viewers
from bentos.web.errors import Overloaded
from tests.stack import free_ports, wait_for

PROGRAM = """
import sys, uvicorn
from bentos.process import notice_the_end
from tests.web.small import small_app, small_slot

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        notice_the_end()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await small(scope, receive, send)

small = small_app(small_slot())
uvicorn.run(app, port=int(sys.argv[1]), log_config=None)
"""


def test_an_open_page_does_not_hold_up_the_end_of_its_process() -> None:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)]) as process:
        try:
            wait_for(lambda: process.poll() is not None or answers(port), 120)
            with httpx.stream("GET", f"http://127.0.0.1:{port}/console/events") as events:
                lines = events.iter_lines()
                assert next(lines) == "retry: 1000"
                assert next(line for line in lines if line).startswith("data: ")
                process.send_signal(signal.SIGTERM)
                assert [line for line in lines if line] == [], "the stream ends whole"
            process.wait(live.LONGEST / 2)
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).is_success
    except httpx.TransportError:
        return False


async def said(stream: StreamingResponse, events: int) -> list[dict[str, object]]:
    """The first events of a stream."""
    found: list[dict[str, object]] = []
    body: AsyncIterator[bytes] = stream.body_iterator  # type: ignore[assignment]
    async for chunk in body:
        if chunk.startswith(b"data: "):
            found.append(msgspec.json.decode(chunk.removeprefix(b"data: ")))
        if len(found) == events:
            break
    await body.aclose()  # type: ignore[attr-defined]
    return found


def test_what_changed_is_sent_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD", 0.0)
    looks = iter([{"a": "1", "b": "1"}, {"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"b": "1"}])

    async def parts() -> Mapping[str, str]:
        return next(looks)

    stream = Viewers().stream(parts)
    assert isinstance(stream, StreamingResponse)
    assert asyncio.run(said(stream, 3)) == [
        {"parts": {"a": "1", "b": "1"}, "ids": ["a", "b"]},
        {"parts": {"a": "2"}, "ids": ["a", "b"]},
        {"parts": {}, "ids": ["b"]},
    ]


def test_a_stream_ends_by_itself_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PERIOD", 0.0)
    monkeypatch.setattr(live, "MOST", 1)

    async def parts() -> Mapping[str, str]:
        return {"a": "1"}

    async def visits() -> None:
        viewers = Viewers()
        first = viewers.stream(parts)
        assert isinstance(first, StreamingResponse)
        body: AsyncIterator[bytes] = first.body_iterator  # type: ignore[assignment]
        await anext(body)
        with pytest.raises(Overloaded, match="1 pages"):
            viewers.stream(parts)
        monkeypatch.setattr(live, "LONGEST", 0.0)
        await body.aclose()  # type: ignore[attr-defined]
        again = viewers.stream(parts)
        assert isinstance(again, StreamingResponse)
        assert await said(again, 2) == []

    asyncio.run(visits())
