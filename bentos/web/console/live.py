"""Server-sent events: the parts of a page that changed, while somebody looks at it.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec
from starlette.responses import Response, StreamingResponse

from bentos.process import ending
from bentos.web.errors import Overloaded

Parts = Mapping[str, str]  # HTML by the id of its element
PERIOD = 2.0  # seconds between two looks
PAUSE = 0.2  # seconds until the end of the process is noticed
LONGEST = 60.0  # seconds; then the browser asks anew, with a token that still holds or not
RETRY = 1000  # milliseconds
MOST = 200  # pages that look on, of one process
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Viewers:
    """Those who look on."""

    def __init__(self) -> None:
        self._count = 0

    def stream(self, parts: Callable[[], Awaitable[Parts]]) -> Response:
        """All parts, and then those that change. Raises Overloaded."""
        if self._count >= MOST:
            raise Overloaded(f"{MOST} pages of this console are open already")
        return StreamingResponse(
            self._events(parts), media_type="text/event-stream", headers=HEADERS
        )

    async def _events(self, parts: Callable[[], Awaitable[Parts]]) -> AsyncIterator[bytes]:
        self._count += 1
        try:
            yield b"retry: %d\n\n" % RETRY
            known: Parts = {}
            until = time.monotonic() + LONGEST
            while time.monotonic() < until and not ending():
                now = await parts()
                changed = {one: str(html) for one, html in now.items() if known.get(one) != html}
                if changed or known.keys() - now.keys():
                    said = {"parts": changed, "ids": list(now)}
                    yield b"data: %b\n\n" % msgspec.json.encode(said)
                else:
                    yield b":\n\n"  # so that no proxy takes it for dead
                known = now
                await _rest()
        finally:
            self._count -= 1


async def _rest() -> None:
    """Return after a period, or when the process is to end."""
    until = time.monotonic() + PERIOD
    while time.monotonic() < until and not ending():  # noqa: ASYNC110 - a signal's handler says it
        await asyncio.sleep(PAUSE)
