"""What 50 replicas cost MLflow, without a relay and with one: `python -m benchmarks.relay`.

It starts an S3 server, MLflow and `ascenso relay` by themselves. The replicas look and download by
the code that services have; nothing is admitted. A click is timed to the last replica that has
every file of the version on disk. While the relay is killed, half of the replicas have MLflow's
own address as registry.direct.
"""

import argparse
import re
import secrets
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING

import psutil
from rich.console import Console

from benchmarks.fleet import FIRST, Heard, fleet
from benchmarks.relay_report import Away, Click, Figures, write
from bentos.registry.client import Registry
from bentos.settings import RegistrySettings
from mlflow import MlflowClient
from tests.serving.gate import Gate
from tests.serving.servers import SCRIPTS, Server, storing, tracking
from tests.stack import free_ports

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

ASKED = re.compile(r'"[A-Z]+ /(?!health)')
MODEL = "clicked"
MOST_SECONDS = 150.0
SETTLE_SECONDS = 3.0
say = Console(stderr=True).log


class Counted(Gate):
    """A gate that counts the bytes of the answers."""

    passed = 0

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                self.passed += len(data)
                client.sendall(data)
        for one in (server, client):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@dataclass
class Bench:
    """MLflow, the way to its store, and the bytes of a version."""

    mlflow: Server
    store: Counted
    file_bytes: int

    def __post_init__(self) -> None:
        self.registry = Registry(self.mlflow.url, 60)

    @property
    def requests(self) -> int:
        """How many MLflow has answered."""
        return len(ASKED.findall(self.mlflow.log.read_text(errors="replace")))

    def fill(self, models: int) -> None:
        """Register models, each with a version in production."""
        self.add(MODEL)
        self.registry.promote(MODEL, "1", "Production")
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self._small, [f"model-{at}" for at in range(models - 1)]))

    def add(self, name: str) -> str:
        """Register a version whose file no one has seen before."""
        client = MlflowClient(self.mlflow.url)
        made = client.create_logged_model("0", name=name)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "model.bin").write_bytes(secrets.token_bytes(self.file_bytes))
            client.log_model_artifacts(made.model_id, folder)
        client.finalize_logged_model(made.model_id, "READY")
        return self._version(name, f"models:/{made.model_id}", made.model_id)

    def click(self, heard: "Queue[Heard]", replicas: int) -> Click:
        """Promote a new version, and wait for so many replicas."""
        number = self.add(MODEL)
        time.sleep(SETTLE_SECONDS)
        passed, asked, clicked = self.store.passed, self.requests, time.time()
        self.registry.promote(MODEL, number, "Production")
        seconds = sorted(at - clicked for at in told(heard, number, replicas))
        return Click(number, seconds, self.store.passed - passed, self.requests - asked)

    def _small(self, name: str) -> None:
        self._version(name, "s3://elsewhere/model")
        self.registry.promote(name, "1", "Production")

    def _version(self, name: str, source: str, model_id: str = "") -> str:
        body = {"name": name, "source": source} | ({"model_id": model_id} if model_id else {})
        self.registry.http.post("mlflow/registered-models/create", json=body)
        answer = self.registry.http.post("mlflow/model-versions/create", json=body)
        number: str = answer.raise_for_status().json()["model_version"]["version"]
        return number


def main() -> None:
    """Measure both ways, and write what was found."""
    given = _options()
    with (
        tempfile.TemporaryDirectory(prefix="ascenso-relay-", ignore_cleanup_errors=True) as place,
        storing(Path(place) / "s3") as (store, _),
    ):
        folder = Path(place)
        gate = Counted(store.env["AWS_ENDPOINT_URL"])
        port = int(gate.url.rpartition(":")[2])
        with tracking(folder, replace(store, port=port)) as mlflow:
            bench = Bench(mlflow, gate, given.megabytes << 20)
            say(f"registering {given.models} models")
            bench.fill(given.models)
            say("without a relay")
            alone = _alone(bench, given, folder / "alone")
            say("with a relay")
            relayed, away = _relayed(bench, given, folder)
    write(given, alone, relayed, away)


def _alone(bench: Bench, given: argparse.Namespace, home: Path) -> Figures:
    address = RegistrySettings(uri=bench.mlflow.url)
    with fleet([address] * given.replicas, MODEL, home) as heard:
        return _figures(bench, heard, given)


def _relayed(bench: Bench, given: argparse.Namespace, folder: Path) -> tuple[Figures, Away]:
    relay = _relay(bench.mlflow.url, folder)
    relay.start()
    addresses = [
        RegistrySettings(uri=relay.url, direct=bench.mlflow.url if at % 2 else "")
        for at in range(given.replicas)
    ]
    try:
        with fleet(addresses, MODEL, folder / "relayed") as heard:
            figures = _figures(bench, heard, given, relay)
            say("the relay is killed")
            relay.kill()
            meanwhile = bench.click(heard, given.replicas // 2)
            back = time.time()
            relay.start()
            with_it = told(heard, meanwhile.version, given.replicas - given.replicas // 2)
            after = bench.click(heard, given.replicas)
            return figures, Away(meanwhile, max(with_it) - back, after)
    finally:
        relay.kill()


def _figures(
    bench: Bench, heard: "Queue[Heard]", given: argparse.Namespace, relay: Server | None = None
) -> Figures:
    began, spent = time.time(), _cpu(bench.mlflow)
    start = max(told(heard, FIRST, given.replicas)) - began
    start_cpu = _cpu(bench.mlflow) - spent
    time.sleep(SETTLE_SECONDS)
    asked, spent, began = bench.requests, _cpu(bench.mlflow), time.time()
    own = _cpu(relay) if relay else 0.0
    time.sleep(given.rest)
    seconds = time.time() - began
    requests, cpu = (bench.requests - asked) / seconds, (_cpu(bench.mlflow) - spent) / seconds
    relay_cpu = (_cpu(relay) - own) / seconds if relay else 0.0
    clicks = [bench.click(heard, given.replicas) for _ in range(given.clicks)]
    return Figures(start, start_cpu, requests, cpu, relay_cpu, clicks)


def told(heard: "Queue[Heard]", version: str, replicas: int) -> list[float]:
    """When so many replicas had a version. Raises TimeoutError."""
    times: dict[int, float] = {}
    until = time.monotonic() + MOST_SECONDS
    while len(times) < replicas:
        try:
            one = heard.get(timeout=max(0.01, until - time.monotonic()))
        except Empty:
            raise TimeoutError(f"{len(times)} of {replicas} replicas have {version}") from None
        if one.version == version:
            times[one.replica] = one.at
    return list(times.values())


def _relay(mlflow: str, folder: Path) -> Server:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    env = {"MLFLOW_TRACKING_URI": mlflow, "ASCENSO_HOME": str(folder / "relay")}
    command = [str(SCRIPTS / "ascenso"), "relay", "--port", str(port)]
    server = Server(command, f"{url}/livez", folder / "relay.log", env)
    server.url = url
    return server


def _cpu(server: Server) -> float:
    """Seconds of processor time of a server and its children."""
    parent = psutil.Process(server.process.pid)
    return sum(sum(one.cpu_times()[:2]) for one in (parent, *parent.children(recursive=True)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--megabytes", type=int, default=8, help="of a version")
    parser.add_argument("--rest", type=float, default=15, help="seconds that are measured")
    parser.add_argument("--clicks", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
