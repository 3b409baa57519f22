"""The speed of each HTTP door beside the rows protocol, and calls amid promotions.

    python -m benchmarks.protocols

Needs `wrk` (apt-get install wrk). It starts an S3 server, MLflow and the service of all models by
itself. What a call costs is the processor time of the service, which others on the machine change
less than the rate of calls.
"""

import json
import re
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
from sklearn.linear_model import LinearRegression

import mlflow
from benchmarks.many import workers
from mlflow import MlflowClient
from tests.services import served
from tests.serving.servers import storing, tracking

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


class Door(NamedTuple):
    """Where a protocol is spoken, and the body for so many rows."""

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
    folder = Path(tempfile.mkdtemp(prefix="ascenso-protocols-"))
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
        served("bentos.models:Models", server.url, folder) as url,
    ):
        mlflow.set_tracking_uri(server.url)
        for _ in range(2):
            _log()
        _promote(url, "1")
        print("| ms of a core a call | " + " | ".join(f"rows: {size}" for size in SIZES) + " |")
        print("|---|" + "--:|" * len(SIZES))
        costs = [_costs(url, size, folder) for size in SIZES]
        for at, door in enumerate(DOORS):
            cells = [f"{cost[at] * 1000:.2f} ({cost[at] / cost[0]:.2f})" for cost in costs]
            print(f"| {door.name} | " + " | ".join(cells) + " |", flush=True)
        print("\n| amid promotions | calls | promotions | lost |\n|---|--:|--:|--:|")
        for door in DOORS:
            calls, promotions, lost = _amid(url, door, folder)
            print(f"| {door.name} | {calls:,} | {promotions} | {lost} |", flush=True)


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


def _wrk(url: str, door: Door, rows: int, folder: Path, seconds: int) -> list[str]:
    body, script = folder / "body", folder / "call.lua"
    body.write_bytes(door.body(rows))
    script.write_text(SCRIPT.format(header=door.header(rows), body=body))
    place = ["-s", str(script), f"{url}{door.path}"]
    return ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", *place]


def _costs(url: str, rows: int, folder: Path) -> list[float]:
    """Seconds of a core that a call costs at each door, the least of some rounds."""
    rounds = [[_cost(url, door, rows, folder) for door in DOORS] for _ in range(ROUNDS)]
    return [min(costs) for costs in zip(*rounds, strict=True)]


def _cost(url: str, door: Door, rows: int, folder: Path) -> float:
    before = _spent(url)
    command = _wrk(url, door, rows, folder, SECONDS)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if LOST.search(said):
        raise SystemExit(f"{door.name}: {said}")
    return (_spent(url) - before) / _calls(said)


def _spent(url: str) -> float:
    """The seconds of a core that the service has taken so far."""
    return sum(sum(worker.cpu_times()[:2]) for worker in set(workers(url)))


def _calls(said: str) -> int:
    return int(said.partition(" requests in")[0].split()[-1])


def _amid(url: str, door: Door, folder: Path) -> tuple[int, int, int]:
    """Calls while versions are promoted and taken back, how many versions, and calls lost."""
    command, promotions = _wrk(url, door, 1, folder, 20), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            _promote(url, "12"[promotions % 2 == 0])
            promotions += 1
        said = process.communicate()[0]
    return _calls(said), promotions, sum(int(found) for found in LOST.findall(said))


if __name__ == "__main__":
    main()
