"""`ascenso score` on a real S3: broken off, begun again, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from bentos.registry.client import Registry
from bentos.registry.sources import open_s3
from bentos.scoring.run import Run, plan
from bentos.scoring.tables import Folder, Unfit
from bentos.settings import Settings
from deploy.local.orphans import mark
from deploy.local.settings import BUCKET, ROOT
from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, Versions, live
from tests.stack import Stack, marked, wait_for

PARTS, ROWS = 8, 150_000  # a part takes most of a second: a run can be killed amid them
NAMES = ("presion", "temperatura", "volumen")
SOURCE = f"s3://{BUCKET}/scoring/in"

Score = Callable[..., subprocess.Popen[str]]
Plan = Callable[..., Run]


@pytest.fixture(scope="module", autouse=True)
def tables(access: dict[str, str]) -> Iterator[list[pa.Table]]:
    """The parts of a table in the bucket, the last one as CSV."""
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in access.items():
            patch.setenv(variable, value)
        made = [
            pa.table({"client": [f"c{n}"] * ROWS} | {x: random.gamma(2, 9, ROWS) for x in NAMES})
            for n in range(PARTS)
        ]
        for n, table in enumerate(made):
            is_last = n == PARTS - 1
            with Folder(SOURCE).writing(f"{n}.csv" if is_last else f"{n}.parquet") as file:
                (csv.write_csv if is_last else parquet.write_table)(table, file)
        yield made


@pytest.fixture
def score(access: dict[str, str], home: Path) -> Score:
    """Start the command as an image does: no script is installed there."""
    env = os.environ | access | {"ASCENSO_HOME": str(home), **mark(home, "score")}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bentos.cli", "score", MODEL, *arguments],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture
def planned(registry: Registry, home: Path) -> Plan:
    def planned(output: str, source: str = SOURCE, **options: object) -> Run:
        words = {"model": MODEL, "number": 0, "keep": ("client",)} | options
        return plan(registry, Settings(home=home), source=source, output=output, **words)  # type: ignore[arg-type]

    return planned


@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_with_the_version_that_began_it(
    stack: Stack, registry: Registry, score: Score, home: Path, tables: list[pa.Table]
) -> None:
    output = f"s3://{BUCKET}/scoring/out"
    asked = ("--input", SOURCE, "--output", output, "--keep", "client")
    begun = live(stack)
    first = score(*asked, "--workers", "1")
    wait_for(lambda: Folder(output).parts() or first.poll() is not None, 240)
    os.killpg(first.pid, signal.SIGKILL)
    printed, _ = first.communicate(timeout=120)
    wait_for(lambda: not marked(f"{home}:score"), 120)
    done = parts(output)
    assert 0 < len(done) < PARTS, printed

    registry.promote(MODEL, Versions(stack.mlflow).copy(), "Production")
    try:
        second = score(*asked)
        printed, _ = second.communicate(timeout=240)
    finally:
        registry.promote(MODEL, begun, "Production")
        wait_for(lambda: live(stack) == begun, 120)
    assert second.returncode == 0, printed
    assert f"{MODEL}/{begun} scores {PARTS - len(done)} parts, {len(done)} are done" in printed
    assert len(parts(output)) == PARTS
    assert parts(output).items() >= done.items()  # they were not written again
    assert json.loads(Folder(output).read("_ascenso.json") or b"")["version"] == begun
    names = [f"{n}.parquet" for n in range(PARTS - 1)] + [f"{PARTS - 1}.csv.parquet"]
    for name, table in zip(names, tables, strict=True):
        with Folder(output).batches(name, {}) as batches:
            found = batches.read_all()
        assert found.select(table.column_names).equals(table)
        some = found.slice(0, 500)
        assert some.select(["cluster", "prediccion"]).to_pylist() == called(stack, some)


def parts(output: str) -> dict[str, datetime]:
    """The parts that are there, with the time when each was written."""
    store = open_s3(output)
    listing = store.client.list_objects_v2(Bucket=store.bucket, Prefix=store.prefix)
    written = {entry["Key"]: entry["LastModified"] for entry in listing.get("Contents", [])}
    return {key: time for key, time in written.items() if key.endswith(".parquet")}


def called(stack: Stack, table: pa.Table) -> object:
    rows = table.select(list(NAMES)).to_pylist()
    url = f"{stack.api}/contugas/predict"
    return httpx.post(url, json=rows, timeout=60).raise_for_status().json()


def test_an_output_is_of_one_job(planned: Plan, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    run = planned(output)
    assert (run.done, len(run.left)) == (0, PARTS)
    assert planned(output) == run
    for options, message in (
        ({"model": "spotify-popularity", "number": 1}, "with model"),
        ({"source": f"{SOURCE}/0.parquet"}, "with input"),
        ({"keep": ()}, "with keep"),
    ):
        with pytest.raises(Unfit, match=f"was begun {message}"):
            planned(output, **options)


def test_versions_are_not_mixed(planned: Plan, stack: Stack, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    planned(output)
    other = Versions(stack.mlflow).copy()
    with pytest.raises(Unfit, match=f"was begun with version '.*', not '{other}'"):
        planned(output, number=int(other))


def test_a_folder_of_something_else_is_left_alone(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x\n1\n")
    with pytest.raises(Unfit, match=r"holds mine\.csv, which no scoring wrote"):
        planned(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_columns_are_looked_at_before_anything_is_written(planned: Plan, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(Unfit, match=r"^0\.parquet: the model takes no columns \['client'\]"):
        planned(str(output), keep=())
    assert not output.exists()


def test_a_note_that_cannot_be_read_is_reported(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "_ascenso.json").write_text("{")
    with pytest.raises(Unfit, match=r"_ascenso\.json in .* cannot be read"):
        planned(str(tmp_path))


@pytest.mark.parametrize(
    ("model", "source", "code", "message"),
    [
        ("nobody", SOURCE, 1, "has no 'nobody', only"),
        (MODEL, "gs://bucket/in", 1, "neither a path nor s3://"),
        (MODEL, "s3://nowhere/in", 2, "s3://nowhere"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(
    ascenso: Ascenso, tmp_path: Path, model: str, source: str, code: int, message: str
) -> None:
    ended = ascenso("score", model, "--input", source, "--output", str(tmp_path / "out"))
    assert ended.exit_code == code
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr
