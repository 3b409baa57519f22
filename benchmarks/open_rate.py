"""Calls at a steady rate, whether earlier ones were answered or not.

A call counts from when it was due: who answers late pays for those behind, too.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

LINES = 64


@dataclass(frozen=True)
class Paced:
    """Latency in ms from the due time, and how many calls were not answered with 200."""

    p50: float
    p99: float
    lost: int


def paced(url: str, body: str, rate: float, seconds: float) -> Paced:
    """Call for a while."""
    return asyncio.run(_paced(url, body, rate, seconds))


async def _paced(url: str, body: str, rate: float, seconds: float) -> Paced:
    address = urlsplit(url)
    content = body.encode()
    head = f"POST {address.path or '/'} HTTP/1.1\r\nhost: {address.netloc}\r\n"
    request = f"{head}content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    due: asyncio.Queue[float | None] = asyncio.Queue()
    taken, lost = list[float](), list[float]()

    async def line() -> None:
        opened: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while (moment := await due.get()) is not None:
            try:
                opened = opened or await asyncio.open_connection(address.hostname, address.port)
                opened[1].write(request.encode() + content)
                status = await _answer(opened[0])
            except (OSError, EOFError):  # closed for idleness, maybe: once more
                opened = await asyncio.open_connection(address.hostname, address.port)
                opened[1].write(request.encode() + content)
                status = await _answer(opened[0])
            (taken if status == 200 else lost).append(time.perf_counter() - moment)

    lines = [asyncio.create_task(line()) for _ in range(LINES)]
    began = time.perf_counter() + 0.1
    for number in range(int(rate * seconds)):
        moment = began + number / rate
        await asyncio.sleep(max(0.0, moment - time.perf_counter()))
        due.put_nowait(moment)
    for _ in lines:
        due.put_nowait(None)
    await asyncio.gather(*lines)
    cuts = statistics.quantiles(taken or [float("nan")] * 2, n=100, method="inclusive")
    return Paced(1000 * cuts[49], 1000 * cuts[98], len(lost))


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status of an answer, which is read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length:")[2].split()[0]
    await reader.readexactly(int(length))
    return int(head.split()[1])
