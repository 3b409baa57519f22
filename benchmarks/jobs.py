"""What a training costs the calls beside it: `python -m benchmarks.jobs FILE`, beside `make up`.

FILE is ETTh1.csv. One client asks contugas at a steady pace: at rest, while a job of itransformer
trains, from its start, imports and all, until it is cancelled, and beside an endless loop of the
same niceness, which tells what the mere use of a processor costs on this machine.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pandas as pd
from rich.progress import track

from benchmarks.pace import Spell, show, spell
from deploy.local.settings import Settings

SECONDS = 20
ROUNDS = 4
NAME = "benchmark"
REST, TRAINING, LOOP = "at rest", "beside a training", "beside a loop"


def main(path: str) -> None:
    """Measure rest and training in turns, and print a table."""
    api = Settings().api
    rows = pd.read_csv(path).to_dict("records")
    spells: dict[str, list[Spell]] = {REST: [], TRAINING: [], LOOP: []}
    with httpx.Client(base_url=f"{api}/itransformer", timeout=60, trust_env=False) as client:
        for _ in track(range(ROUNDS), "measuring", transient=True):
            spells[REST].append(spell(api, SECONDS))
            with training(client, rows):
                spells[TRAINING].append(spell(api, SECONDS))
            with looping():
                spells[LOOP].append(spell(api, SECONDS))
    show(spells)


@contextmanager
def training(client: httpx.Client, rows: object) -> Iterator[None]:
    """A job that takes longer than a spell, cancelled then."""
    body = {"model_name": NAME, "data": rows, "epochs": 1000}
    job = client.post("/train", json=body).raise_for_status().json()["job_id"]
    try:
        yield
    finally:
        client.delete(f"/jobs/{job}").raise_for_status()
        while client.get(f"/jobs/{job}").raise_for_status().json()["status"] == "running":
            time.sleep(0.2)


@contextmanager
def looping() -> Iterator[None]:
    """A process that does nothing, as fast as it can."""
    process = subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say where ETTh1.csv is: python -m benchmarks.jobs FILE")
    main(sys.argv[1])
