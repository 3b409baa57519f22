"""One process of a home looks for all of them, and none asks where nothing was written."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bentos.promotion.lookout import Lookout
from bentos.promotion.view import View
from bentos.promotion.writes import Writes
from bentos.registry.client import Registry
from tests.serving.servers import Server, reading
from tests.serving.versions import Shelf
from tests.stack import wait_for

HOUR = 3600.0
SECONDS = 2.0  # between two looks
Process = Callable[..., View]


@pytest.fixture
def asked(registry: Registry, shelf: Shelf) -> list[str]:
    """What the registry was asked, call by call, from now on."""
    registry.http.post("mlflow/registered-models/create", json={"name": shelf.name})
    asked: list[str] = []
    registry.http.event_hooks["request"] = [lambda request: asked.append(request.url.path)]
    return asked


@pytest.fixture
def hand(server: Server) -> Iterator[Registry]:
    """Somebody else's client."""
    with reading(server.url) as registry:
        yield registry


@pytest.fixture
def process(registry: Registry, shelf: Shelf, tmp_path: Path) -> Iterator[Process]:
    """What looks in each process of a home."""
    made: list[View] = []

    def view(writes: Path | None = None) -> View:
        lookout = Lookout(tmp_path / "looks", "the same", SECONDS)
        made.append(View(registry, [shelf.name], [], HOUR, lookout=lookout, writes=Writes(writes)))
        return made[-1]

    yield view
    for one in made:
        one.close()


def test_one_asks_and_another_takes_over(
    process: Process, registry: Registry, shelf: Shelf, asked: list[str], hand: Registry
) -> None:
    first, second = process(), process()
    first.look()
    assert second.look() == first.models  # its own first look
    first.look()
    second.look()
    hand.set_model_tag(shelf.name, "a", "1")
    assert not second.has_news
    first.look()
    assert second.has_news
    assert second.look()[shelf.name].tag("a") == "1"
    assert not second.has_news
    registry.set_model_tag(shelf.name, "a", "2")
    assert second.look()[shelf.name].tag("a") == "2"  # what it wrote itself, it sees
    first.look()
    asked.clear()
    assert second.look() is second.look()
    assert asked == []
    second.expire()
    second.look()
    assert len(asked) == 1
    first.close()
    asked.clear()
    wait_for(lambda: second.look() and asked, 60)


def test_who_is_stuck_keeps_nobody_from_asking(
    process: Process, shelf: Shelf, asked: list[str], tmp_path: Path
) -> None:
    """Nor an answer that cannot be read."""
    first, second = process(), process()
    first.look()
    second.look()
    asked.clear()
    (moment,) = (tmp_path / "looks").glob("*.at")
    long_ago = int((time.monotonic() - 4 * SECONDS) * 1e9)
    os.utime(moment, ns=(long_ago, long_ago))
    second.look()
    assert len(asked) == 1
    first.look()
    (answer,) = (tmp_path / "looks").glob("*.json")
    answer.write_text("{")
    asked.clear()
    assert second.look().keys() == {shelf.name}
    assert len(asked) == 1


def test_where_nothing_was_written_nobody_asks(
    process: Process, asked: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "registry.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("CREATE TABLE one (a)")
        view = process(file)
        view.look()
        wait_for(lambda: rests(view, asked), 30)
        assert not view.has_news
        for mode in ("delete", "wal"):
            db.execute(f"PRAGMA journal_mode = {mode}")
            wait_for(lambda: rests(view, asked), 30)
            db.execute("INSERT INTO one VALUES (1)")
            assert view.has_news
            view.look()
            assert asked
            wait_for(lambda: rests(view, asked), 30)
        view.expire()
        view.look()
        assert asked


def rests(view: View, asked: list[str]) -> bool:
    """Whether a look asks for nothing."""
    asked.clear()
    view.look()
    return not asked
