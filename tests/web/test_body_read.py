import gzip
import time
from collections.abc import Iterator
from typing import Literal

import anyio
import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from bentos.web.body import read
from bentos.web.errors import BodyTooLarge, HTTPError, UnprocessableBody, UnsupportedBody
from bentos.web.packing import PIECE
from tests.web.serving import serving


def feed(*messages: Message) -> Receive:
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return receive


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers)}


def test_read_joins_the_parts() -> None:
    receive = feed(part(b"ab"), part(b""), {"type": "http.request", "body": b"c"})
    assert anyio.run(read, scope(), receive, 3) == b"abc"
    assert anyio.run(read, scope(), feed({"type": "http.request"}), 0) == b""


def test_read_stops_at_the_part_that_is_too_much() -> None:
    with pytest.raises(BodyTooLarge):
        anyio.run(read, scope(), feed(part(b"ab"), part(b"cd")), 3)


@pytest.mark.parametrize("length", [b"4", b"999999999999"])
def test_read_believes_a_content_length_that_is_too_much(length: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        anyio.run(read, scope((b"host", b"x"), (b"content-length", length)), feed(), 3)


@pytest.mark.parametrize("length", [b"", b"-1", b"x", b"\xb2", b"9" * 10_000])
def test_read_counts_where_the_content_length_makes_no_sense(length: bytes) -> None:
    headers = scope((b"content-length", length))
    assert anyio.run(read, headers, feed(part(b"abc", more=False)), 3) == b"abc"


def test_read_tells_that_the_client_left() -> None:
    with pytest.raises(ClientDisconnect):
        anyio.run(read, scope(), feed(part(b"a"), {"type": "http.disconnect"}), 3)


async def echo_size(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        size = len(await read(scope, receive, 1000))
        status, headers, body = HTTPError(200, str(size)).render()
    except HTTPError as error:
        status, headers, body = error.render()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_real_server_refuses_a_large_upload_and_goes_on(
    http: Literal["h11", "httptools"],
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    with serving(echo_size, http) as url, httpx.Client() as client:
        for content in (b"x" * 10_000_000, chunks()):
            answer = client.post(url, content=content)
            assert answer.status_code == 413
            assert answer.json()["detail"].startswith("The body is larger than 1,000 bytes")
        assert client.post(url, content=b"x" * 1000).json() == {"detail": "1000"}


BODY = bytes(range(256)) * 4000
GZIP = gzip.compress(BODY, mtime=0)
PACKED = scope((b"content-encoding", b"gzip"))


def in_parts(body: bytes, size: int) -> Receive:
    parts = [part(body[at : at + size]) for at in range(0, len(body), size)]
    return feed(*parts, part(b"", more=False))


@pytest.mark.parametrize("size", [1, 1000, 10**7])
@pytest.mark.parametrize(
    ("packed", "body"),
    [
        (GZIP, BODY),
        (gzip.compress(b"", mtime=0), b""),
        (gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0), b"one two"),
        (gzip.compress(bytes(PIECE), mtime=0), bytes(PIECE)),
        (gzip.compress(bytes(3 * PIECE), mtime=0) + GZIP, bytes(3 * PIECE) + BODY),
    ],
)
def test_a_gzip_is_unpacked(packed: bytes, body: bytes, size: int) -> None:
    assert anyio.run(read, PACKED, in_parts(packed, size), len(body) + 100) == body


@pytest.mark.parametrize("name", [b"gzip", b"GZIP ", b"x-gzip"])
def test_a_gzip_by_its_other_names(name: bytes) -> None:
    assert anyio.run(read, scope((b"content-encoding", name)), in_parts(GZIP, 99), 10**7) == BODY
    assert anyio.run(read, scope((b"content-encoding", b"identity")), in_parts(b"a", 1), 9) == b"a"


@pytest.mark.parametrize(
    "packed", [gzip.compress(bytes(10**8), mtime=0), gzip.compress(b"", mtime=0) * 1000]
)
def test_a_gzip_counts_as_large_as_it_is_unpacked(packed: bytes) -> None:
    """Or packed, for there is no end to the gzips that hold nothing."""
    begun = time.process_time()
    with pytest.raises(BodyTooLarge):
        anyio.run(read, PACKED, in_parts(packed, 65536), 1000)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (b"", "ends too early"),
        (b"{}", "incorrect header check"),
        (GZIP[:-1], "ends too early"),
        (GZIP[:100], "ends too early"),
        (GZIP[:-8] + bytes(8), "incorrect data check"),
        (GZIP + b"{}", "incorrect header check"),
    ],
)
def test_a_malformed_gzip_is_refused(packed: bytes, why: str) -> None:
    with pytest.raises(UnprocessableBody, match=f"The gzip is malformed: .*{why}"):
        anyio.run(read, PACKED, in_parts(packed, 65536), 10**7)


@pytest.mark.parametrize("packing", [b"br", b"deflate", b"gzip, gzip", b"zstd"])
def test_other_packings_are_refused(packing: bytes) -> None:
    with pytest.raises(UnsupportedBody) as caught:
        anyio.run(read, scope((b"content-encoding", packing)), feed(part(b"x", more=False)), 9)
    status, headers, _ = caught.value.render()
    assert status == 415
    assert (b"accept-encoding", b"gzip") in headers
