import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from bentos.keras_api.tally import Call, Tally
from bentos.web.errors import Unavailable

WORKER = """
import asyncio, sys
from pathlib import Path
from bentos.keras_api import tally as module
from bentos.keras_api.tally import Tally

module.PATIENCE_SECONDS = 60  # a busy machine may stop the other one amid its write

async def main():
    tally = Tally(Path(sys.argv[1]), kept=50)
    for _ in range(20):
        await asyncio.gather(*(tally.add("keras-a", rows, 0.5) for rows in range(1, 26)))
    print(await tally.total())

asyncio.run(main())
"""
CALLS, ROWS = 20 * 25, 20 * sum(range(1, 26))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "tally.db"


def lost() -> float:
    return REGISTRY.get_sample_value("ascenso_tally_lost_total") or 0


def test_counts_rows_and_remembers_calls(path: Path) -> None:
    async def test() -> None:
        tally = Tally(path)
        assert (await tally.total(), await tally.recent()) == (0, [])
        await tally.add("default", 3, 0.25)
        await tally.add("other", 2, 0.75)
        await tally.add("empty", 0, None)
        assert await tally.total() == 5
        calls = await tally.recent()
        remembered = [(call.model_id, call.rows, call.mean_confidence) for call in calls]
        assert remembered == [("default", 3, 0.25), ("other", 2, 0.75), ("empty", 0, None)]
        assert [call.at for call in calls] == sorted(call.at for call in calls)
        assert [call.model_id for call in await tally.recent(2)] == ["other", "empty"]

    run(test())


def test_holds_over_a_restart(path: Path) -> None:
    run(Tally(path).add("default", 3, 0.25))

    async def test() -> None:
        tally = Tally(path)
        await tally.add("default", 4, 0.25)
        assert await tally.total() == 7
        assert len(await tally.recent()) == 2

    run(test())


def test_the_oldest_calls_are_forgotten_but_counted(path: Path) -> None:
    async def test() -> None:
        tally = Tally(path, kept=10)
        await asyncio.gather(*(tally.add("default", 1, 0.5) for _ in range(25)))
        for rows in (2, 3):
            await tally.add("default", rows, 0.5)
        assert await tally.total() == 30
        assert [call.rows for call in await tally.recent()] == [1] * 8 + [2, 3]
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT COUNT(*) FROM call").fetchone() == (10,)

    run(test())


def test_processes_count_together_exactly(path: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    seen = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert all(ROWS <= total <= 2 * ROWS for total in seen)

    async def test() -> None:
        tally = Tally(path)
        assert await tally.total() == 2 * ROWS
        assert len(await tally.recent()) == 50

    run(test())


def test_calls_that_end_together_are_written_together(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tally = Tally(path)
    sizes: list[int] = []
    write = tally._write_safely

    def measured(calls: Sequence[Call]) -> None:
        sizes.append(len(calls))
        write(calls)

    monkeypatch.setattr(tally, "_write_safely", measured)

    async def test() -> None:
        await asyncio.gather(*(tally.add("default", 1, 0.5) for _ in range(100)))
        assert sum(sizes) == await tally.total() == 100
        assert len(sizes) <= 2

    run(test())


def test_a_caller_who_leaves_is_counted(path: Path) -> None:
    async def test() -> None:
        tally = Tally(path)
        leaving = asyncio.create_task(tally.add("default", 1, 0.5))
        await asyncio.sleep(0)
        leaving.cancel()
        await tally.add("default", 1, 0.5)
        assert await tally.total() == 2

    run(test())


def test_a_locked_file_fails_no_call(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        tally = Tally(path)
        await tally.add("default", 1, 0.5)
        before = lost()
        with closing(sqlite3.connect(path)) as db:
            db.execute("BEGIN IMMEDIATE")
            await asyncio.gather(*(tally.add("default", 1, 0.5) for _ in range(5)))
            assert await tally.total() == 1  # reading goes on
        assert lost() - before == 5
        await tally.add("default", 1, 0.5)
        assert await tally.total() == 2

    run(test())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith("database is locked")


def test_a_file_that_is_broken_or_gone_fails_no_call(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, and never was" * 100)
    tally = Tally(path)
    before = lost()
    run(tally.add("default", 1, 0.5))
    assert lost() - before == 1
    with pytest.raises(Unavailable, match="not a database"):
        asyncio.run(tally.total())
    path.unlink()
    run(tally.add("default", 2, 0.5))
    assert asyncio.run(tally.total()) == 2


def test_a_folder_that_cannot_be_made_fails_no_call(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "file").touch()
        tally = Tally(tmp_path / "file" / "tally.db")
        before = lost()
        await tally.add("default", 1, 0.5)
        assert lost() - before == 1
        with pytest.raises(Unavailable):
            await tally.recent()

    run(test())
