"""A small answer in one write.

uvicorn writes head and body of an answer apart. Each is a system call and wakes the caller, which
takes as long as all else that HTTP costs.
"""

from collections.abc import Iterable
from typing import Any

from starlette.types import Send

try:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as Cycle
except ImportError:  # another server, which has its own ways

    class Cycle:  # type: ignore[no-redef]
        """None of a request's."""


Header = tuple[bytes, bytes]


class _Gathering:
    """A transport that keeps what is written until it is told to go on."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> None:
        """Keep it."""
        self._parts.append(part)

    def flush(self) -> None:
        """Write what is kept."""
        parts, self._parts = self._parts, []
        if parts:
            self._transport.writelines(parts)

    def close(self) -> None:
        """Close the transport, once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the transport is closed, or will be."""
        closing: bool = self._transport.is_closing()
        return closing


async def send_whole(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """Send an answer that is no stream."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, Cycle):  # something stands between
        await _sent(send, status, headers, body)
        return
    transport: Any = cycle.transport
    gathering: Any = _Gathering(transport)
    cycle.transport = gathering
    try:
        await _sent(send, status, headers, body)
        gathering.flush()
    finally:
        cycle.transport = transport


async def _sent(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
