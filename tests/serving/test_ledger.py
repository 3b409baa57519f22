import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bentos.promotion import ledger as module
from bentos.promotion.channel import Promotions
from bentos.promotion.ledger import REPLICA, Ledger, What, stamp
from bentos.registry.client import Tag, Version

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANNEL = "stage Production"
RECORD = """
import sys
from pathlib import Path
from bentos.promotion.ledger import Ledger
from bentos.registry.client import Version

ledger = Ledger(Path(sys.argv[1]))
for number in range(50):
    ledger.record("swap", "stage Production", Version("gas", str(number)), sys.argv[2])
"""


def version(number: int) -> Version:
    tags = (Tag("ascenso.digest", f"sha256:{number}"),)
    return Version("gas", str(number), run_id=f"run{number}", user_id="ana", tags=tags)


class Clock:
    """The ledger's clock, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = NOON
        monkeypatch.setattr(module, "now", lambda: stamp(self.time))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.db")


def write(ledger: Ledger, clock: Clock, lines: list[tuple[int, What, int]]) -> None:
    for hour, what, number in lines:
        clock.time = NOON + timedelta(hours=hour)
        ledger.record(what, CHANNEL, version(number), "because")


def test_a_line_tells_everything(ledger: Ledger, clock: Clock) -> None:
    ledger.record("swap", CHANNEL, version(7), "the stage points to it")
    (event,) = ledger.history("gas")
    assert event.at == "2026-03-01T12:00:00.000000+00:00"
    assert (event.model, event.version, event.run_id) == ("gas", "7", "run7")
    assert (event.digest, event.who, event.what) == ("sha256:7", "", "swap")
    assert (event.channel, event.replica) == (CHANNEL, REPLICA)
    assert event.why == "the stage points to it"


def test_history_is_in_order_and_of_one_model(ledger: Ledger, clock: Clock) -> None:
    write(ledger, clock, [(0, "swap", 1), (1, "refusal", 2), (2, "swap", 3), (3, "rollback", 1)])
    ledger.record("swap", CHANNEL, Version("power", "1"), "")
    events = [(event.what, event.version) for event in ledger.history("gas")]
    assert events == [("swap", "1"), ("refusal", "2"), ("swap", "3"), ("rollback", "1")]
    assert [event.version for event in ledger.history("gas", limit=2)] == ["3", "1"]
    assert ledger.history("nobody") == []


@pytest.mark.parametrize(
    ("hour", "serves"),
    [(-1, []), (0, ["1"]), (0.5, ["1"]), (1.5, ["1"]), (2, ["3"]), (2.5, ["3"]), (3.5, ["1"])],
)
def test_what_served_at(ledger: Ledger, clock: Clock, hour: float, serves: list[str]) -> None:
    write(ledger, clock, [(0, "swap", 1), (1, "refusal", 2), (2, "swap", 3), (3, "rollback", 1)])
    asked = NOON + timedelta(hours=hour)
    assert [event.version for event in ledger.serving_at("gas", asked)] == serves
    elsewhere = asked.astimezone(timezone(timedelta(hours=-5)))
    assert [event.version for event in ledger.serving_at("gas", elsewhere)] == serves


def test_every_replica_and_channel_is_listed(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ledger, clock, [(0, "swap", 1)])
    ledger.record("swap", "alias champion", version(5), "")
    monkeypatch.setattr(module, "REPLICA", "other-1")
    write(ledger, clock, [(1, "restore", 2)])
    served = {(e.replica, e.channel, e.version) for e in ledger.serving_at("gas", clock.time)}
    assert served == {
        (REPLICA, CHANNEL, "1"),
        (REPLICA, "alias champion", "5"),
        ("other-1", CHANNEL, "2"),
    }


def test_one_event_of_two_workers_is_one_line(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two workers, of which one lags behind; the same version serves again a moment later."""
    lines: list[tuple[str, What, int]] = [
        ("a", "swap", 1), ("a", "refusal", 2), ("b", "swap", 1), ("b", "refusal", 2),
        ("a", "swap", 3), ("b", "swap", 3), ("a", "rollback", 1), ("b", "rollback", 1),
        ("b", "swap", 3), ("a", "swap", 3),
    ]  # fmt: skip
    for replica, what, number in lines:
        monkeypatch.setattr(module, "REPLICA", replica)
        clock.time += timedelta(seconds=1)
        ledger.record(what, CHANNEL, version(number), "because")
    events = ledger.history("gas")
    seen = [(event.at[17:19], event.replica, event.what, event.version) for event in events]
    assert seen == [
        ("01", "a", "swap", "1"),
        ("02", "a", "refusal", "2"),
        ("05", "a", "swap", "3"),
        ("07", "a", "rollback", "1"),
        ("09", "b", "swap", "3"),
    ]
    assert [ledger.history("gas", limit) for limit in range(1, 5)] == [
        events[-limit:] for limit in range(1, 5)
    ]


def test_a_line_of_a_worker_that_died_is_of_its_own_time(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor has another name, and wrote of what came after alone."""
    for replica, number in [("a", 1), ("b", 1), ("b", 2), ("c", 2), ("b", 1), ("c", 1)]:
        monkeypatch.setattr(module, "REPLICA", replica)
        clock.time += timedelta(seconds=1)
        ledger.record("swap", CHANNEL, version(number), "because")
    seen = [(event.at[17:19], event.version) for event in ledger.history("gas")]
    assert seen == [("01", "1"), ("03", "2"), ("05", "1")]


def test_lines_of_another_time_reason_or_channel_are_other_events(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record("restore", CHANNEL, version(1), "it served last")
    monkeypatch.setattr(module, "REPLICA", "other-1")
    ledger.record("restore", CHANNEL, version(1), "the stage points to it")
    ledger.record("restore", "alias champion", version(1), "it served last")
    assert len(ledger.history("gas")) == 3
    clock.time += timedelta(seconds=61)
    ledger.record("restore", CHANNEL, version(1), "it served last")
    assert len(ledger.history("gas")) == 4


def test_clock_that_jumps_back_loses_nothing(ledger: Ledger, clock: Clock) -> None:
    write(ledger, clock, [(0, "swap", 1), (5, "swap", 2), (1, "swap", 3)])
    assert {event.version for event in ledger.history("gas")} == {"1", "2", "3"}
    served = ledger.serving_at("gas", NOON + timedelta(hours=6))
    assert [event.version for event in served] == ["3"]


def test_it_survives_a_restart(ledger: Ledger) -> None:
    ledger.record("swap", CHANNEL, version(1), "")
    seen = Promotions(17, ("3", "1"))
    ledger.remember("gas", CHANNEL, seen)
    again = Ledger(ledger.path)
    assert [event.version for event in again.history("gas")] == ["1"]
    assert again.recall("gas", CHANNEL) == seen
    assert again.recall("gas", "alias champion") is None


def test_what_was_seen_is_replaced(ledger: Ledger) -> None:
    ledger.remember("gas", CHANNEL, Promotions(1, ("1",)))
    ledger.remember("gas", CHANNEL, Promotions(2, ("1", "2")))
    assert ledger.recall("gas", CHANNEL) == Promotions(2, ("1", "2"))


def test_many_threads_write_at_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(100):
            pool.submit(ledger.record, "swap", CHANNEL, version(number), "")
    written = {event.version for event in ledger.history("gas")}
    assert written == {str(number) for number in range(100)}


def test_processes_start_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.db"
    writers = [
        subprocess.Popen([sys.executable, "-c", RECORD, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    events = Ledger(path).history("gas")
    assert [sum(event.why == name for event in events) for name in ("a", "b")] == [50, 50]
    assert len({event.replica for event in events}) == 2


def test_what_is_no_ledger_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"something else" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        Ledger(tmp_path / "ledger.db")
