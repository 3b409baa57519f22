from pathlib import Path

import pytest

from bentos.promotion.pauses import Patience, backoff, longest, pause
from bentos.settings import RegistrySettings
from tests.serving.service import settings

SETTINGS = RegistrySettings(poll_seconds=2.0, max_backoff_seconds=30.0)


def test_a_pause_is_a_poll_long_at_most() -> None:
    pauses = {pause(SETTINGS, 0) for _ in range(100)}
    assert len(pauses) > 90
    assert all(1.6 <= seconds <= 2.0 for seconds in pauses)


@pytest.mark.parametrize(("failures", "longest"), [(1, 4), (2, 8), (3, 16), (4, 30), (50, 30)])
def test_failures_make_it_longer_up_to_a_bound(failures: int, longest: float) -> None:
    pauses = [pause(SETTINGS, failures) for _ in range(100)]
    assert all(longest / 2 <= seconds <= longest for seconds in pauses)
    assert max(pauses) - min(pauses) > longest / 10


@pytest.mark.parametrize(
    ("uri", "seconds"), [("http://127.0.0.1:5000", 5.0), ("https://mlflow.example", 30.0)]
)
def test_a_server_of_this_machine_is_not_spared(uri: str, seconds: float) -> None:
    assert longest(settings(Path("home"), uri, registry={"max_backoff_seconds": 30.0})) == seconds
    assert pause(SETTINGS, 50, seconds) <= seconds


def test_patience_ends_at_once() -> None:
    patience = Patience(longest=1000.0, first=1000.0)
    assert patience.over
    assert patience.fail() >= 500.0
    assert not patience.over
    patience.end()
    assert patience.over


def test_a_night_without_a_registry_does_not_overflow() -> None:
    assert backoff(10_000, 1.0, 30.0) <= 30.0
