import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import filelock
import pytest

from bentos.database import opened

SCHEMA = "CREATE TABLE line (text TEXT); INSERT INTO line VALUES ('first');"


def lines(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM line")]


def test_two_who_start_together_make_one_file(tmp_path: Path) -> None:
    together = Barrier(2)

    def start(path: Path) -> list[str]:
        together.wait(60)
        with closing(opened(path, SCHEMA, 60)) as db:
            return lines(db)

    with ThreadPoolExecutor(2) as pool:
        for number in range(100):
            path = tmp_path / "home" / f"{number}.db"
            assert list(pool.map(start, [path, path])) == [["first"], ["first"]]


def test_a_file_keeps_what_it_holds_and_lets_others_read_amid_a_write(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(opened(path, SCHEMA, 5)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO line VALUES ('second')")
        with closing(opened(path, SCHEMA, 0)) as reader:
            assert lines(reader) == ["first"]
            writer.execute("COMMIT")
            assert lines(reader) == ["first", "second"]


def test_others_are_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with filelock.FileLock(tmp_path / "a.db.lock"), pytest.raises(OSError, match="could not be"):
        opened(path, SCHEMA, 0)
    assert not path.exists()
