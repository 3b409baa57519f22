import logging
import os
import pty
import sys
import termios

import pytest

from training.progress import track


def test_a_log_gets_lines(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "training"):
        assert list(track("abc", 3, "scoring", every=0.0)) == ["a", "b", "c"]
    assert caplog.messages == [f"scoring: {done} of 3" for done in (1, 2, 3)]


def test_quick_work_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "training"):
        assert list(track("abc", 3, "scoring")) == ["a", "b", "c"]
    assert not caplog.messages


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    os.set_blocking(ours, False)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert list(track("abc", 3, "scoring")) == ["a", "b", "c"]
        terminal.flush()
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "scoring" in shown
    assert "0/3" in shown
