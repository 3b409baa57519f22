"""Replicas with folders of their own that share a ledger in a real PostgreSQL."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bentos.promotion import ledger as module
from bentos.promotion.channel import Promotions
from bentos.promotion.fleet import Fleet
from bentos.promotion.ledger import Ledger
from bentos.promotion.postgres import SharedAway
from bentos.promotion.shared import Replica, Serving, Shared
from bentos.registry.client import Version
from bentos.settings import Settings
from bentos.web.following import Following
from tests.serving.gate import Gate
from tests.serving.service import Open, Service
from tests.serving.versions import Shelf
from tests.stack import wait_for

CHANNEL = "stage Production"
HOUR = timedelta(hours=1)
Made = Callable[[str], Ledger]


@pytest.fixture
def shared(gate: tuple[Gate, str]) -> Iterator[Shared]:
    shared = Shared(gate[1])
    yield shared
    shared.close()


@pytest.fixture
def replica(
    gate: tuple[Gate, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Made]:
    """The ledger of a replica, which writes from now on."""
    opened: list[Shared] = []

    def made(name: str) -> Ledger:
        monkeypatch.setattr(module, "REPLICA", name)
        opened.append(Shared(gate[1]))
        return Ledger(tmp_path / name / "ledger.db", opened[-1])

    yield made
    for one in opened:
        one.close()


def version(model: str, number: int) -> Version:
    return Version(model, str(number), run_id=f"run{number}")


def seen(ledger: Ledger, model: str) -> list[tuple[str, str]]:
    return [(event.what, event.version) for event in ledger.history(model)]


def test_every_replica_tells_the_same_history(replica: Made) -> None:
    one = replica("one")
    one.record("swap", CHANNEL, version("gas", 1), "because", "ana")
    one.record("refusal", CHANNEL, version("gas", 2), "too slow")
    two = replica("two")
    two.record("swap", CHANNEL, version("gas", 1), "because")  # of the same promotion
    two.record("swap", CHANNEL, version("gas", 3), "because")
    two.send()  # as it does every two seconds
    told = [("swap", "1"), ("refusal", "2"), ("swap", "3")]
    fresh = replica("three")  # with a disk of its own, on which there is nothing
    assert seen(one, "gas") == seen(two, "gas") == seen(fresh, "gas") == told
    assert fresh.history("gas")[0].who == "ana"
    assert fresh.credited(version("gas", 1), datetime.now(UTC) - HOUR)
    assert not fresh.credited(version("gas", 3), datetime.now(UTC) - HOUR)
    served = {(e.replica, e.version) for e in fresh.serving_at("gas", datetime.now(UTC))}
    assert served == {("one", "1"), ("two", "3")}
    assert fresh.serving_at("gas", datetime.now(UTC) - HOUR) == []
    assert seen(fresh, "nobody") == []


def test_a_new_disk_knows_what_others_remember_and_who_promoted(replica: Made) -> None:
    one, two = replica("first"), replica("second")
    one.record("swap", CHANNEL, version("sun", 1), "because", "ana")
    two.record("swap", CHANNEL, version("sun", 1), "because", "bob")
    one.remember("sun", CHANNEL, Promotions(5, ("2", "1")))
    two.remember("sun", CHANNEL, Promotions(3, ("1", "2")))  # what it saw before
    assert one.recall("sun", CHANNEL) == Promotions(5, ("2", "1"))
    for ledger in (one, two):
        ledger.send()
    fresh = replica("third")
    assert fresh.recall("sun", CHANNEL) == Promotions(5, ("2", "1"))
    assert fresh.recall("sun", "alias champion") is None
    assert fresh.promoters()["sun", "1"] == "bob"
    again = Ledger(two.path, two._shared)
    assert again.recall("sun", CHANNEL) == Promotions(5, ("2", "1")), "of two, the later one"
    two.remember("sun", CHANNEL, Promotions(8, ("1", "2")))  # not sent yet
    assert two.recall("sun", CHANNEL) == Promotions(8, ("1", "2"))


def test_a_line_is_sent_once(replica: Made) -> None:
    one = replica("again")
    one.record("swap", CHANNEL, version("once", 1), "because")
    for _ in range(3):
        one.send()
    beside = Ledger(one.path, one._shared)  # another process of the same folder
    beside.send()
    assert beside.place == one.place
    assert seen(one, "once") == [("swap", "1")]


def test_lines_wait_while_the_database_is_away(
    replica: Made, gate: tuple[Gate, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 2)
    away = replica("away")
    away.record("swap", CHANNEL, version("wind", 1), "because")
    assert seen(away, "wind") == [("swap", "1")]
    gate[0].shut()
    try:
        for number in range(2, 7):
            away.record("swap", CHANNEL, version("wind", number), "because")
        with pytest.raises(SharedAway, match="PostgreSQL: ") as refused:
            away.history("wind")
        assert "rd-of-tests" not in str(refused.value)
        assert not away.credited(version("wind", 2), datetime.now(UTC) - HOUR)
        assert away.recall("wind", CHANNEL) is None
        assert away.promoters() == {}
    finally:
        gate[0].open()
    assert [number for _, number in seen(away, "wind")] == list("123456")
    gate[0].shut()  # and open again before anybody asks, as a server that begins anew
    gate[0].open()
    assert len(seen(away, "wind")) == 6


def test_a_file_keeps_so_many_lines(
    replica: Made, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = replica("full")
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    full.record("swap", CHANNEL, version("full", 1), "because")
    full.send()
    for number in range(2, 8):
        full.record("swap", CHANNEL, version("full", number), "because")
    full.trim()
    assert [number for _, number in seen(full, "full")] == list("1567")
    assert "3 lines of the ledger waited too long and are lost" in caplog.text


def test_wishes_reach_the_others(replica: Made, shared: Shared) -> None:
    heard: list[str] = []
    ledger = replica("wishing")
    fleets = {
        name: Fleet(ledger, shared, name, list, lambda name=name: heard.append(name))  # type: ignore[misc]
        for name in ("a", "b", "c")
    }
    for fleet in fleets.values():
        fleet.beat()
    assert heard == []  # what was asked for before
    fleets["b"].ask_all()
    for _ in range(2):
        for fleet in fleets.values():
            fleet.beat()
    assert heard == ["a", "c"]
    assert {one.name for one in fleets["a"].replicas} >= {"a", "b", "c"}


def test_quiet_replicas_are_no_part_of_the_fleet(shared: Shared) -> None:
    serves = [Serving("gas", CHANNEL, "1", "2026-03-01T12:00:00+00:00", 10, 9)]
    shared.beat("quiet", serves)
    (found,) = (one for one in shared.fleet(HOUR) if one.name == "quiet")
    assert found == Replica("quiet", found.seen, serves)
    shared.beat("quiet", serves)
    (again,) = (one for one in shared.fleet(HOUR) if one.name == "quiet")
    assert (again.serves, again.seen > found.seen) == (serves, True)
    changed = [replace(serves[0], compared=20)]
    shared.beat("quiet", changed)
    (found,) = (one for one in shared.fleet(HOUR) if one.name == "quiet")
    assert found.serves == changed
    shared.leave("quiet")
    shared.beat("quiet", changed)  # others had forgotten it
    assert "quiet" in {one.name for one in shared.fleet(HOUR)}
    assert [one for one in shared.fleet(timedelta(0)) if one.name == "quiet"] == []
    shared.beat("leaving", serves)
    shared.leave("leaving")
    assert "leaving" not in {one.name for one in shared.fleet(HOUR)}


def test_two_services_are_one_fleet(
    open_service: Open, shelf: Shelf, gate: tuple[Gate, str]
) -> None:
    """A promotion shows in both; without the database they serve on, and it is told later."""
    shelf.promote(shelf.add(2.0))
    services = [open_service(home=home, ledger={"url": gate[1]}) for home in ("here", "there")]
    names = sorted(one.watcher.notes._locks.me for one in services)
    for one in services:
        one.start()

    def all_serve(number: str) -> None:
        wait_for(lambda: [one.live for one in services] == [number] * 2, 60)
        wait_for(lambda: all(fleet(one) == [(n, number) for n in names] for one in services), 90)

    all_serve("1")
    assert report(services[0])["degraded"] is None
    gate[0].shut()
    try:
        wait_for(lambda: "is not shared now" in (report(services[0])["degraded"] or ""), 60)
        shelf.promote(shelf.add(3.0))
        wait_for(lambda: [one.live for one in services] == ["2"] * 2, 60)
        with pytest.raises(SharedAway):
            services[0].history()
    finally:
        gate[0].open()
    all_serve("2")
    told = [one.history() for one in services]
    assert told[0] == told[1] == [("swap", "1")] * 2 + [("swap", "2")] * 2  # of one process, here
    heard: list[str] = []
    services[1].watcher._heard = lambda: heard.append("reload")  # type: ignore[method-assign]
    services[1].watcher.fleet._asked = services[1].watcher._heard  # type: ignore[union-attr]
    services[0].watcher.reload()
    wait_for(lambda: heard == ["reload"], 60)


def report(service: Service) -> dict[str, Any]:
    """What `/releases` tells."""
    following = Following([service.slot])
    following.watcher = service.watcher
    return following.report()


def fleet(service: Service) -> list[tuple[str, str]]:
    return sorted((member.replica, member.version) for member in report(service)["fleet"])


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "host=h password=secret"])
def test_another_address_is_refused_unseen(url: str) -> None:
    with pytest.raises(ValueError, match=r"ledger.url is no postgresql://") as refused:
        Settings.model_validate({"ledger": {"url": url}})
    assert "secret" not in str(refused.value)


def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(SharedAway) as refused:
        Shared("postgresql://user:secret@[bad/db").wished()
    assert "secret" not in str(refused.value)
