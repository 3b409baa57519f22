"""A loop goes on, whatever a look ends in, and says why the last one failed."""

import logging
import sys
import time
from pathlib import Path
from threading import Event
from threading import enumerate as enumerate_threads

import pytest

from bentos import loop as loops
from bentos.loop import Loop
from tests.stack import wait_for


class Passing(Exception):
    pass


def test_a_loop_looks_again_and_again_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    ended, looked, outcomes = Event(), Event(), [Passing("away"), KeyError("odd"), None]

    def look() -> None:
        outcome = outcomes.pop(0) if outcomes else None
        troubles.append(loop.trouble)
        if not outcomes:
            looked.set()
        if outcome:
            raise outcome

    troubles: list[str] = []
    pauses: list[int] = []
    heard: list[str] = []
    loop = Loop(
        "the store",
        look,
        lambda failures: pauses.append(failures) or 0.0,  # type: ignore[func-returns-value]
        (Passing,),
        "calls go on",
        end=ended.set,
        looked=heard.append,
    )
    with caplog.at_level(logging.WARNING):
        loop.start()
        assert looked.wait(60)
        loop.stop(60)
    assert ended.is_set()
    assert troubles[:2] == ["the store: not looked at yet", "away"]
    assert troubles[2].startswith("an internal error while looking at the store")
    assert pauses[:3] == [1, 2, 0]
    assert heard[:3] == [*troubles[1:3], ""]
    assert "away; calls go on" in caplog.messages
    assert loop.trouble == ""


def test_a_loop_that_is_woken_does_not_wait() -> None:
    looks: list[int] = []
    loop = Loop("it", lambda: looks.append(1), lambda failures: 3600.0, (), "")
    loop.start()
    wait_for(lambda: looks, 60)
    loop.wake()
    wait_for(lambda: len(looks) == 2, 60)
    loop.stop(60)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells of files")
def test_what_is_written_ends_a_pause_that_nobody_asks_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "QUIET_SECONDS", 3600.0)
    monkeypatch.setattr(loops, "STIRRED_SECONDS", 0.3)
    file, looks, asked = tmp_path / "news", list[str](), list[str]()

    def has_news() -> bool:
        asked.append(now := file.read_text() if file.exists() else "")
        return now != looks[-1]

    loop = Loop(
        "it", lambda: looks.append(file.read_text() if file.exists() else ""),
        lambda failures: 3600.0, (), "", has_news=has_news, news_in=[file],
    )  # fmt: skip
    loop.start()
    wait_for(lambda: asked, 60)
    (tmp_path / "other").write_text("one")
    before = len(asked)
    time.sleep(0.5)
    assert len(asked) == before, "what is written beside it concerns nobody"
    file.write_text("one")
    wait_for(lambda: looks[-1] == "one", 60)
    (tmp_path / "draft").write_text("two")
    (tmp_path / "draft").replace(file)
    wait_for(lambda: looks[-1] == "two", 60)
    loop.stop(60)
    wait_for(lambda: "notices" not in {thread.name for thread in enumerate_threads()}, 60)


def test_where_nobody_tells_news_are_asked_for(tmp_path: Path) -> None:
    looks: list[int] = []
    loop = Loop(
        "it", lambda: looks.append(1), lambda failures: 3600.0, (), "",
        has_news=lambda: len(looks) < 3, news_in=[tmp_path / "missing" / "file"],
    )  # fmt: skip
    loop.start()
    wait_for(lambda: len(looks) == 3, 60)
    loop.stop(60)
