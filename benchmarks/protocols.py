"""The speed of each door beside the rows protocol, and calls amid promotions.

    python -m benchmarks.protocols

Needs `wrk` (apt-get install wrk). It starts an S3 server, MLflow and the service of all models by
itself. What a call costs is the processor time of the service, which others on the machine change
less than the rate of calls. gRPC is called by threads of this process, slower than wrk calls.
"""

import json
import re
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from sklearn.linear_model import LinearRegression
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

import mlflow
from benchmarks.many import workers
from mlflow import MlflowClient
from tests.services import served
from tests.serving.servers import storing, tracking
from tests.stack import free_ports

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.sklearn

NAME, COLUMNS = "ten", 10
CONNECTIONS, SECONDS, ROUNDS, SIZES = 16, 2, 3, (1, 100)
LENGTH = "inference-header-content-length"
SCRIPT = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
{header}
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
"""
LOST = re.compile(r"(?:Non-2xx or 3xx responses: |(?:connect|read|write|timeout) )(\d+)")


# Calls with so many rows for so many seconds: how many were answered, and how many were lost.
Caller = Callable[[int, int], tuple[int, int]]


class Door(NamedTuple):
    """Where a protocol is spoken over HTTP, and the body for so many rows."""

    name: str
    path: str
    body: Callable[[int], bytes]
    header: Callable[[int], str] = lambda rows: ""


def table(rows: int) -> list[list[float]]:
    """The same numbers each time."""
    made: list[list[float]] = np.random.default_rng(0).normal(size=(rows, COLUMNS)).tolist()
    return made


def binary_header(rows: int) -> bytes:
    """The JSON in front of a binary tensor."""
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [rows, COLUMNS]}
    size = {"parameters": {"binary_data_size": rows * COLUMNS * 8}}
    wanted = {"binary_data_output": True}
    return json.dumps({"inputs": [tensor | size], "parameters": wanted}).encode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _tensor(rows: int) -> bytes:
    tensor = {"name": "input-0", "datatype": "FP64", "shape": [rows, COLUMNS]}
    return _json({"inputs": [tensor | {"data": table(rows)}]})


DOORS = (
    Door("rows", f"/{NAME}/predict", lambda rows: _json(table(rows))),
    Door("MLflow's", f"/{NAME}/invocations", lambda rows: _json({"inputs": table(rows)})),
    Door("v2, JSON", f"/v2/models/{NAME}/infer", _tensor),
    Door(
        "v2, binary",
        f"/v2/models/{NAME}/infer",
        lambda rows: binary_header(rows) + np.array(table(rows)).tobytes(),
        lambda rows: f'wrk.headers["{LENGTH}"] = "{len(binary_header(rows))}"',
    ),
    Door("BentoML's", "/predict", lambda rows: _json({"name": NAME, "rows": table(rows)})),
)


def main() -> None:
    """Run it, and print two tables."""
    folder, (port,) = Path(tempfile.mkdtemp(prefix="ascenso-protocols-")), free_ports(1)
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
        served("bentos.models:Models", server.url, folder, ASCENSO_GRPC__PORT=str(port)) as url,
    ):
        mlflow.set_tracking_uri(server.url)
        for _ in range(2):
            _log()
        _promote(url, "1")
        callers = {door.name: _over_http(url, door, folder) for door in DOORS}
        callers["v2, gRPC"] = _over_grpc(f"127.0.0.1:{port}")
        _measure(url, callers)


def _measure(url: str, callers: dict[str, Caller]) -> None:
    print("| ms of a core a call | " + " | ".join(f"rows: {size}" for size in SIZES) + " |")
    print("|---|" + "--:|" * len(SIZES))
    costs = [_costs(url, size, callers) for size in SIZES]
    for name in callers:
        cells = [f"{cost[name] * 1000:.2f} ({cost[name] / cost['rows']:.2f})" for cost in costs]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("\n| amid promotions | calls | promotions | lost |\n|---|--:|--:|--:|")
    for name, call in callers.items():
        calls, promotions, lost = _amid(url, call)
        print(f"| {name} | {calls:,} | {promotions} | {lost} |", flush=True)


def _log() -> None:
    X = np.random.default_rng(0).normal(size=(100, COLUMNS))
    with warnings.catch_warnings(), mlflow.start_run():
        warnings.simplefilter("ignore")
        mlflow.sklearn.log_model(
            LinearRegression().fit(X, X.sum(axis=1)), name="model", registered_model_name=NAME,
            pip_requirements=[], serialization_format="skops",
        )  # fmt: skip


def _promote(url: str, version: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        MlflowClient().transition_model_version_stage(
            NAME, version, "Production", archive_existing_versions=True
        )
    while _live(url) != version:
        time.sleep(0.1)


def _live(url: str) -> str:
    said = httpx.post(f"{url}{DOORS[0].path}", json=table(1), timeout=60)
    return str(said.headers.get("x-model-version", "").rpartition("/")[2])


def _over_http(url: str, door: Door, folder: Path) -> Caller:
    def call(rows: int, seconds: int) -> tuple[int, int]:
        body, script = folder / "body", folder / "call.lua"
        body.write_bytes(door.body(rows))
        script.write_text(SCRIPT.format(header=door.header(rows), body=body))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s"]
        command += ["-s", str(script), f"{url}{door.path}"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return _calls(said), sum(int(found) for found in LOST.findall(said))

    return call


def _over_grpc(address: str) -> Caller:
    def call(rows: int, seconds: int) -> tuple[int, int]:
        given = InferInput("input-0", [rows, COLUMNS], "FP64")
        given.set_data_from_numpy(np.array(table(rows)))
        until = time.monotonic() + seconds
        with InferenceServerClient(address) as client, ThreadPoolExecutor(CONNECTIONS) as pool:
            asked = [pool.submit(_ask, client, given, until) for _ in range(CONNECTIONS)]
            answered = [one.result() for one in asked]
        return sum(calls for calls, _ in answered), sum(lost for _, lost in answered)

    return call


def _ask(client: InferenceServerClient, given: InferInput, until: float) -> tuple[int, int]:
    calls = lost = 0
    while time.monotonic() < until:
        try:
            client.infer(NAME, [given])
            calls += 1
        except InferenceServerException:
            lost += 1
    return calls, lost


def _costs(url: str, rows: int, callers: dict[str, Caller]) -> dict[str, float]:
    """Seconds of a core that a call costs at each door, the least of some rounds."""
    rounds = [
        {name: _cost(url, name, call, rows) for name, call in callers.items()}
        for _ in range(ROUNDS)
    ]
    return {name: min(costs[name] for costs in rounds) for name in callers}


def _cost(url: str, name: str, call: Caller, rows: int) -> float:
    before = _spent(url)
    calls, lost = call(rows, SECONDS)
    if lost:
        raise SystemExit(f"{name}: {lost} calls were lost")
    return (_spent(url) - before) / calls


def _spent(url: str) -> float:
    """The seconds of a core that the service has taken so far."""
    return sum(sum(worker.cpu_times()[:2]) for worker in set(workers(url)))


def _calls(said: str) -> int:
    return int(said.partition(" requests in")[0].split()[-1])


def _amid(url: str, call: Caller) -> tuple[int, int, int]:
    """Calls while versions are promoted and taken back, how many versions, and calls lost."""
    promotions = 0
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call, 1, 20)
        while not calling.done():
            _promote(url, "12"[promotions % 2 == 0])
            promotions += 1
        calls, lost = calling.result()
    return calls, promotions, lost


if __name__ == "__main__":
    main()
