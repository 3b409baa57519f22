"""Where the microseconds of one call go: `python -m benchmarks.road`.

The stack runs in this process, and calls come over lines that are no sockets: what is left is the
work of the interpreter, in CPU seconds, which other programs of the machine change little. Each
part is what a call takes with it, less what it takes without it. The table goes to
`benchmarks/results/road.md`.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks.peers.floor import app as floor
from benchmarks.subjects import CONTUGAS, Subject, subjects
from bentos.tensors import Batch
from deploy.local.settings import ROOT
from tests.serving.servers import storing, tracking

PARTS = ("HTTP server", "our front", "rows, batch, answer", "model", "all")
DATE = [(b"date", b"Mon, 30 Nov 2026 20:00:00 GMT")]
Server: TypeAlias = tuple[HttpToolsProtocol, "Line"]


class Line(asyncio.Transport):
    """What a server writes to a caller."""

    def __init__(self) -> None:
        address = ("127.0.0.1", 3000)
        super().__init__({"peername": address, "sockname": address})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        """Keep them."""
        self.written += b"".join(parts)

    def is_closing(self) -> bool:
        """It stays."""
        return False

    def close(self) -> None:
        """Nobody is at the other end."""


def main() -> None:
    """Measure all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="of each measurement")
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "road.md")
    parser.add_argument("kinds", nargs="*", help="only these models")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ascenso-road-"))
    with storing(folder / "s3") as (store, _), tracking(folder, store) as server:
        asked = list(subjects(server.url, str(folder), args.kinds))
        os.environ |= {
            "ASCENSO_HOME": str(folder / "home"),
            "BENTOML_HOME": str(folder / "bentoml"),
            "MLFLOW_TRACKING_URI": server.url,
            "ASCENSO_SECURITY__SECRET": secrets.token_hex(32),
        }
        rows = uvloop.run(_measured(asked, args))
    args.out.write_text(_table(rows))
    print(args.out.read_text())


async def _measured(asked: list[Subject], args: argparse.Namespace) -> list[list[str]]:
    from bentos.bento.front import Front
    from bentos.settings import settings
    from bentos.stack import Stack

    inside: Any = Stack
    stack = inside.inner
    stack.site = site = stack.build(settings())
    service = stack()
    await service.follow()
    table = []
    for subject in asked:
        path, door = _door(site, subject)
        while door() is None or door().slot.live is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        for at_once in args.at_once:
            rounds = args.calls // at_once
            ask = _asking(path, subject, at_once, rounds)
            taken = await _parts(ask, Front(site, site), door())
            table.append([subject.kind, str(at_once), *(f"{one:.1f}" for one in taken)])
            print(*table[-1], flush=True)
    await service.unfollow()
    return table


def _door(site: Any, subject: Subject) -> tuple[str, Callable[[], Any]]:
    """Where a model is asked, and what gives its Door, or None before it is promoted."""
    apps = {app.name: app for app in site.apps}
    if subject.name == CONTUGAS:
        return "/contugas/predict", lambda: apps["contugas"].hot["/predict"]
    path = f"/{subject.name}/predict"
    return f"/models{path}", lambda: apps["models"]._door(path)


def _asking(path: str, subject: Subject, at_once: int, rounds: int) -> Callable[[ASGIApp], Any]:
    row = subject.rows[0]
    body = json.dumps(row if subject.tensor else dict(zip(subject.columns, row, strict=True)))
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nContent-Type: application/json\r\n"
    call = f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()

    async def ask(app: ASGIApp) -> float:
        """The CPU microseconds of a call, when so many come at once."""
        config = uvicorn.Config(app, log_config=None, server_header=False)
        config.load()
        state = ServerState()
        state.default_headers = DATE
        servers = [_connected(config, state) for _ in range(at_once)]
        await _round(servers, call)
        taken = [await _round(servers, call) for _ in range(rounds)]
        return 1e6 * statistics.median(taken) / at_once

    return ask


def _connected(config: uvicorn.Config, state: ServerState) -> Server:
    server, line = HttpToolsProtocol(config, state, {}), Line()
    server.connection_made(line)
    return server, line


async def _round(servers: list[Server], call: bytes) -> float:
    began = time.process_time()
    for server, line in servers:
        line.written = b""
        server.data_received(call)
    while not all(server.cycle.response_complete for server, _ in servers):  # noqa: ASYNC110
        await asyncio.sleep(0)
    taken = time.process_time() - began
    for _, line in servers:
        if not line.written.startswith(b"HTTP/1.1 200"):
            sys.exit(f"answered {line.written!r}")
    return taken


async def _parts(ask: Callable[[ASGIApp], Any], front: ASGIApp, door: Any) -> list[float]:
    """What each of PARTS takes of a call."""
    server, whole = await ask(floor), await ask(front)
    slot, release = door.slot, door.slot.live
    slot.swap(replace(release, predict=_kept(release.predict)))
    without_model = await ask(front)
    slot.swap(release)

    async def answer(*_: object) -> Any:
        return 200, [(b"content-length", b"2"), (b"content-type", b"application/json")], b"{}"

    door.answer = answer
    empty = await ask(front)
    del door.answer
    return [server, empty - server, without_model - empty, whole - without_model, whole]


def _kept(predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A model that has said before what it says of so many rows."""
    known: dict[int, Any] = {}

    def answer(batch: Any) -> Any:
        size = len(batch)
        if isinstance(batch, Batch):
            size = len(next(iter(batch.values())))  # as the model would ask for its columns
        if size not in known:
            known[size] = predict(batch)
        return known[size]

    return answer


def _table(rows: list[list[str]]) -> str:
    lines = [
        "# Where a call's microseconds go",
        "",
        "CPU microseconds of a one-row call, without sockets, when so many come at once; medians. "
        "The parts of a model that batches share are divided by its rows. To make it again: "
        "`python -m benchmarks.road`.",
        "",
        f"| model | at once | {' | '.join(PARTS)} |",
        "|---|" + "--:|" * (len(PARTS) + 1),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
