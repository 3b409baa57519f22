"""A loop goes on, whatever a look ends in, and says why the last one failed."""

import logging
from threading import Event

import pytest

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
