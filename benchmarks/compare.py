"""Ours beside what people use: `make bench`, or `python -m benchmarks.compare`.

Needs `wrk` (apt-get install wrk). It starts S3, MLflow and every server by itself, on the same
registered models. Rounds are interleaved, a figure is the median of its rounds, and every answer
is held against the model's own. Table and chart go to `benchmarks/results`.
"""

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM, signal
from typing import Any, TypeAlias

import httpx

from benchmarks.open_rate import Paced, paced
from benchmarks.report import write
from benchmarks.subjects import CONTUGAS, Subject, subjects
from benchmarks.wrk import Measured, measure, script
from deploy.local.settings import ROOT
from tests.serving.servers import storing, tracking
from tests.stack import free_ports

CONNECTIONS = (1, 16, 64)
WORKERS = "2"
START_SECONDS = 180
Process: TypeAlias = "subprocess.Popen[bytes]"
BIN = Path(sys.executable).parent
UVICORN = [sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Peer:
    """A server of one model: its address, the form of a call, and its answer to each row."""

    name: str
    url: str
    bodies: list[str]
    answers: list[list[float]]


@dataclass
class Figures:
    """What was measured of a server and a model."""

    rounds: dict[int, list[Measured]] = field(default_factory=dict)
    open: list[Paced] = field(default_factory=list)

    def median(self, connections: int) -> Measured:
        """Each figure's median over the rounds."""
        found = self.rounds[connections]
        return Measured(*(statistics.median(f) for f in zip(*map(_values, found), strict=True)))

    @property
    def paced(self) -> Paced:
        """The same at the open rate."""
        p50, p99 = (
            statistics.median(getattr(one, at) for one in self.open) for at in ("p50", "p99")
        )
        return Paced(p50, p99, sum(one.lost for one in self.open))


def main() -> None:
    """Measure all, and write table and chart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100, help="calls a second, at the open rate")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("kinds", nargs="*", help="only these models")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: apt-get install wrk")
    signal(SIGTERM, lambda *_: sys.exit("ended"))  # so that no server stays
    found: dict[str, dict[str, Figures]] = {}
    folder = Path(tempfile.mkdtemp(prefix="ascenso-compare-"))
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
    ):
        asked = list(subjects(server.url, str(folder), args.kinds))
        with _ours(folder, server.url) as ours:
            for subject in asked:
                with _peers(subject, ours, folder) as peers:
                    found[subject.kind] = _measured(subject, peers, folder, args)
    write(found, CONNECTIONS, args)


def _measured(
    subject: Subject, peers: Sequence[Peer], folder: Path, args: argparse.Namespace
) -> dict[str, Figures]:
    figures = {peer.name: Figures() for peer in peers}
    for number in range(args.rounds):
        row = number % len(subject.rows)
        for peer in peers:
            path = script(folder, peer.bodies[row], peer.answers[row])
            for connections in CONNECTIONS:
                one = measure(peer.url, path, connections, args.seconds)
                figures[peer.name].rounds.setdefault(connections, []).append(one)
                print(subject.kind, peer.name, connections, one, flush=True)
            slow = paced(peer.url, peer.bodies[row], args.rate, args.seconds)
            figures[peer.name].open.append(slow)
    return figures


@contextmanager
def _ours(folder: Path, mlflow: str) -> Iterator[tuple[str, Process]]:
    """The stack, as `make up` runs it, and its address."""
    (port,) = free_ports(1)
    env = {
        "ASCENSO_HOME": str(folder / "home"),
        "BENTOML_HOME": str(folder / "bentoml"),
        "MLFLOW_TRACKING_URI": mlflow,
        "ASCENSO_SERVICES__WORKERS": WORKERS,
        "ASCENSO_SECURITY__SECRET": secrets.token_hex(32),
    }
    command = [sys.executable, "-m", "bentoml", "serve", "bentos.stack:Stack"]
    with _running([*command, "--port", str(port)], folder / "ours.log", env) as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def _peers(subject: Subject, ours: tuple[str, Process], folder: Path) -> Iterator[list[Peer]]:
    """All servers of a model, once each answers."""
    ports = [str(port) for port in free_ports(4)]
    env = {
        "BENCHMARK_KIND": subject.kind,
        "BENCHMARK_MODEL": subject.folder,
        "BENCHMARK_COLUMNS": json.dumps(subject.columns),
        "BENTOML_HOME": str(folder / "bentoml"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",  # where MLflow looks for uvicorn
    }
    serve = [
        str(BIN / "mlflow"),
        "models",
        "serve",
        "-m",
        subject.folder,
        "--env-manager",
        "local",
    ]
    commands = [
        [*UVICORN, "benchmarks.peers.floor:app", "--port", ports[0]],
        [*UVICORN, "benchmarks.peers.fastapi_app:app", "--workers", WORKERS, "--port", ports[1]],
        [*serve, "--workers", WORKERS, "--port", ports[2]],
        [str(BIN / "bentoml"), "serve", "benchmarks.peers.bento_app:Batched", "--port", ports[3]],
    ]
    started = list[Process]()
    with ExitStack() as stack:
        for command, port in zip(commands, ports, strict=True):
            log = folder / f"{subject.kind}-{port}.log"
            started.append(stack.enter_context(_running(command, log, env)))
        described = _described(subject, ours[0], ports)
        running = [started[0], ours[1], *started[1:]]
        yield [p for p, process in zip(described, running, strict=True) if _answers(p, process)]


def _described(subject: Subject, ours: str, ports: Sequence[str]) -> list[Peer]:
    floor, fastapi, mlflow, bento = (f"http://127.0.0.1:{port}" for port in ports)
    objects = [dict(zip(subject.columns, row, strict=True)) for row in subject.rows]
    lists = [json.dumps({"rows": [row]}) for row in subject.rows]
    if subject.tensor:
        frames = [json.dumps({"inputs": [row]}) for row in subject.rows]
    else:
        names = list(subject.columns)
        frames = [
            json.dumps({"dataframe_split": {"columns": names, "data": [row]}})
            for row in subject.rows
        ]
    place = "/contugas/predict" if subject.name == CONTUGAS else f"/models/{subject.name}/predict"
    own: list[Any] = subject.rows if subject.tensor else objects
    mine = list(map(json.dumps, own))
    known, constant = subject.answers, [[2.0, 1.0]] * len(lists)
    return [
        Peer("bare uvicorn, constant answer", floor, mine, constant),
        Peer("Ascenso", ours + place, mine, known),
        Peer(
            "FastAPI, the model per request",
            f"{fastapi}/predict",
            list(map(json.dumps, objects)),
            known,
        ),
        Peer("mlflow models serve", f"{mlflow}/invocations", frames, known),
        Peer("BentoML, its own batching", f"{bento}/predict", lists, known),
    ]


def _answers(peer: Peer, process: Process) -> bool:
    """Wait until a server answers; one that does not within its time is left out, and named."""
    until = time.monotonic() + START_SECONDS
    said = ""
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx.TransportError):
            headers = {"content-type": "application/json"}
            answer = httpx.post(peer.url, content=peer.bodies[0], headers=headers, timeout=30)
            if answer.status_code == httpx.codes.OK:
                return True
            said = f"{answer.status_code} {answer.text[:300]}"
        time.sleep(0.5)
    print(f"{peer.name} does not answer at {peer.url}, and is left out: {said}")
    return False


@contextmanager
def _running(command: list[str], log: Path, env: dict[str, str]) -> Iterator[Process]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=os.environ | env, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        for word in (SIGTERM, SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, word)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _values(one: Measured) -> tuple[float, float, float]:
    return one.rate, one.p50, one.p99


if __name__ == "__main__":
    main()
