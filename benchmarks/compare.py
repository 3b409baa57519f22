"""Requests a second of contugas beside its peers, in one run: `python -m benchmarks.compare`.

Needs `wrk` (apt-get install wrk), and `make up` running, whose promoted model is served. Each
server runs alone, with one worker; each figure is the median of several rounds.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from bentos.admission.cache import Artifacts
from bentos.settings import settings

CONNECTIONS = (1, 16, 64)
ROUNDS = 3
SECONDS = 3
ONE = '{"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}'
ROWS = '{"rows": [[1.2, 25.5, 100.0]]}'
SCRIPT = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = '{body}'
"""
BENTOML = ["-m", "bentoml", "serve", "bentos.contugas:Contugas", "--port"]
UVICORN = ["-m", "uvicorn", "--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Peer:
    """A server, and the call that it is asked to answer."""

    name: str
    command: list[str]
    path: str = "/predict"
    body: str = ONE


PEERS = (
    Peer("bare uvicorn, constant answer", [*UVICORN, "benchmarks.peers:floor", "--port"]),
    Peer("contugas, fast route", BENTOML),
    Peer("contugas, native door", BENTOML, "/predict_batch", ROWS),
    Peer("FastAPI, model called per request", [*UVICORN, "benchmarks.peers:tutorial", "--port"]),
)


def main() -> None:
    """Measure all, and print a table."""
    version = Artifacts(settings().home / "cache", settings().cache).last_good("contugas-anomaly")
    if version is None:
        sys.exit(f"No version of contugas-anomaly lies in {settings().home}: run `make up` first")
    folder = Artifacts(settings().home / "cache", settings().cache).folder(version)
    os.environ["BENCHMARK_MODEL"] = str(folder)
    rates = {peer.name: [0.0] * len(CONNECTIONS) for peer in PEERS}
    for peer in PEERS:
        with _serving(peer) as url, tempfile.TemporaryDirectory() as scripts:
            script = Path(scripts) / "call.lua"
            script.write_text(SCRIPT.format(body=peer.body))
            _rate(url, 1, script)  # a service goes on importing in its first seconds
            rates[peer.name] = [_rate(url, connections, script) for connections in CONNECTIONS]
    _print(rates)


def _rate(url: str, connections: int, script: Path) -> float:
    """Requests a second, the median of some rounds. Exits when an answer is not 200."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(script), url]
    rates = []
    for _ in range(ROUNDS):
        report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in report:
            sys.exit(f"{url} did not answer 200:\n{report}")
        rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1]))  # type: ignore[index]
    return statistics.median(rates)


@contextmanager
def _serving(peer: Peer) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}{peer.path}"
    process = subprocess.Popen(
        [sys.executable, *peer.command, port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(url, peer.body):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{peer.name} does not answer at {url}")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str, body: str) -> bool:
    try:
        headers = {"content-type": "application/json"}
        return httpx.post(url, content=body, headers=headers, timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def _print(rates: dict[str, list[float]]) -> None:
    table = Table("one-row requests a second", *(f"c={c}" for c in CONNECTIONS), "to FastAPI")
    base = rates[PEERS[-1].name]
    for name, found in rates.items():
        ratios = " / ".join(f"{rate / other:.1f}" for rate, other in zip(found, base, strict=True))
        table.add_row(name, *(f"{rate:,.0f}" for rate in found), ratios)
    Console().print(table)


if __name__ == "__main__":
    main()
