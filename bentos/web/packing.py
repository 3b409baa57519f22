"""Bodies that come packed: gzip is unpacked piece by piece, up to the limit of a body."""

import zlib
from typing import Any

from anyio.lowlevel import checkpoint
from starlette.types import Message, Receive, Scope

from bentos.web.errors import BodyTooLarge, Problem, UnprocessableBody, UnsupportedBody, clip
from bentos.web.headers import first

GZIP = 16 + zlib.MAX_WBITS  # what zlib calls gzip's header and checksum
PIECE = 256 * 1024  # bytes at once, so that other calls have their turn


def unpacked(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive`, its bodies unpacked; count them on, for they may still exceed `limit` bytes.

    Raises BodyTooLarge if the call says that it has more, UnsupportedBody for what is no gzip.
    """
    length = first(scope, b"content-length")
    if len(length) < 20 and length.isdigit() and int(length) > limit:
        raise BodyTooLarge(limit)
    packing = first(scope, b"content-encoding").strip().lower()
    if packing in (b"", b"identity"):
        return receive
    if packing not in (b"gzip", b"x-gzip"):
        given = clip(packing.decode("latin-1"))
        raise UnsupportedBody(
            f"The body is packed as {given}: send it as gzip, or as it is",
            {"accept-encoding": "gzip"},
        )
    return _Gunzip(receive, limit)


class _Gunzip:
    """The messages of a request, their bodies unpacked; `limit` is for the packed bytes."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = self._room = limit
        self._inflate = _inflating()
        self._packed = b""
        self._pending = False  # whether zlib may hold more of what it was given
        self._more = True

    async def __call__(self) -> Message:
        if self._packed or self._pending:
            await checkpoint()
        elif (message := await self._receive())["type"] == "http.request":
            self._take(message)
        else:
            return message
        body = self._unpack()
        more = bool(self._packed) or self._pending or self._more
        if not more and not self._inflate.eof:
            raise _malformed("it ends too early")
        return {"type": "http.request", "body": body, "more_body": more}

    def _take(self, message: Message) -> None:
        self._packed = message.get("body", b"")
        self._more = message.get("more_body", False)
        self._room -= len(self._packed)
        if self._room < 0:
            raise BodyTooLarge(self._limit)

    def _unpack(self) -> bytes:
        if self._inflate.eof and self._packed:  # gzip may be several, one after the other
            self._inflate = _inflating()
        try:
            body: bytes = self._inflate.decompress(self._packed, PIECE)
        except zlib.error as error:
            raise _malformed(str(error)) from None
        self._packed = self._inflate.unconsumed_tail or self._inflate.unused_data
        self._pending = len(body) == PIECE
        return body


def _inflating() -> Any:
    return zlib.decompressobj(GZIP)


def _malformed(why: str) -> UnprocessableBody:
    return UnprocessableBody(Problem(["body"], f"The gzip is malformed: {why}", "gzip_invalid"))
