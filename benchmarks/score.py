"""Rows a second over a table, by `ascenso score` and over HTTP: `python -m benchmarks.score`.

Needs `make up` running, whose promoted contugas-anomaly is used. Readings are made by the seed;
the start, with the version's admission, is counted. Over HTTP, a table goes in lists of as many
rows as a call may have, and a part of it row by row; all of it is compared with what was scored.
"""

import asyncio
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from bentos.registry.client import Registry
from bentos.scoring.run import plan
from bentos.settings import settings

MODEL = "contugas-anomaly"
NAMES = ("presion", "temperatura", "volumen")
OUTPUTS = ("cluster", "prediccion")
PARTS, PART_ROWS = 20, 50_000
LISTED = 10_000  # rows a call
SINGLES = 20_000  # calls of one row
CONNECTIONS = 16
URL = os.environ.get("ASCENSO_URL", "http://127.0.0.1:3000")


def main() -> None:
    """Measure all, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in"), Path(folder, "out")
        write(source)
        rows = PARTS * PART_ROWS
        start, whole = score(source, output)
        scored = parquet.read_table(output)
        found = np.column_stack([scored[name] for name in OUTPUTS])
        X = np.column_stack([scored[name] for name in NAMES])
    listed, answers = asyncio.run(call(X, LISTED))
    single, some = asyncio.run(call(X[:SINGLES], 1))
    table = Table("", "rows", "seconds", "rows/s", box=None)
    for name, count, seconds in (
        ("ascenso score", rows, whole),
        ("  after the start", rows, whole - start),
        (f"HTTP, {LISTED} rows a call", rows, listed),
        (f"HTTP, a row a call, {CONNECTIONS} connections", SINGLES, single),
    ):
        table.add_row(name, f"{count:,}", f"{seconds:.1f}", f"{count / seconds:,.0f}")
    Console().print(table)
    same = np.array_equal(found, answers) and np.array_equal(found[:SINGLES], some)
    Console().print(f"All answers are the same: {same}; {os.cpu_count()} cores")


def write(folder: Path) -> None:
    """The table: readings around those of an ordinary client."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for part in range(PARTS):
        columns = (
            random.normal(17, 1.5, PART_ROWS),
            random.normal(22, 6, PART_ROWS),
            random.gamma(2, 40, PART_ROWS),
        )
        table = pa.table(dict(zip(NAMES, columns, strict=True)))
        parquet.write_table(table, folder / f"part-{part:02}.parquet")


def score(source: Path, output: Path) -> tuple[float, float]:
    """Seconds until the workers began, and in all."""
    began, first = time.perf_counter(), 0.0
    with closing((registry := Registry(settings().tracking_uri)).http):
        run = plan(registry, settings(), MODEL, 0, str(source), str(output))
        for scored in tqdm(run.go("", 0), total=PARTS, desc="score"):
            first = first or time.perf_counter() - began - scored.seconds
    return first, time.perf_counter() - began


async def call(X: np.ndarray, size: int) -> tuple[float, np.ndarray]:
    """Seconds for all rows, `size` a call, and their answers."""
    starts = iter(tqdm(range(0, len(X), size), desc=f"HTTP, {size} a call"))
    answers = np.empty((len(X), len(OUTPUTS)), dtype=np.int64)

    async def one_after_another(client: httpx.AsyncClient) -> None:
        for start in starts:
            rows = [dict(zip(NAMES, x, strict=True)) for x in X[start : start + size].tolist()]
            body = msgspec.json.encode(rows)
            answer = await client.post(f"{URL}/contugas/predict", content=body)
            said = msgspec.json.decode(answer.raise_for_status().content)
            answers[start : start + size] = [[one[name] for name in OUTPUTS] for one in said]

    connections = CONNECTIONS if size == 1 else 2
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(timeout=60, trust_env=False, headers=headers) as client:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(one_after_another(client))
        return time.perf_counter() - began, answers


if __name__ == "__main__":
    main()
