"""The loop of a process, in this process, against the real registry and store."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bentos.registry.client import RegistryUnavailable
from tests.serving.gate import Gate, gated
from tests.serving.servers import Server, answering
from tests.serving.service import Service, serving
from tests.serving.versions import Shelf
from tests.stack import wait_for

SECONDS = 60.0  # more than any of these should need, also on a busy machine


@pytest.fixture
def gate(server: Server) -> Iterator[Gate]:
    with gated(server.url) as gate:
        yield gate


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def until(service: Service, version: str | None) -> None:
    wait_for(lambda: service.live == version, SECONDS)


def promoted(service: Service, shelf: Shelf, version: str) -> float:
    """Seconds from a promotion to its service."""
    began = time.monotonic()
    shelf.promote(version)
    until(service, version)
    return time.monotonic() - began


def test_a_promotion_serves_within_three_seconds(shelf: Shelf, server: Server, home: Path) -> None:
    with serving(shelf.name, home, server.url, registry={"poll_seconds": 1.0}) as service:
        service.start()
        shelf.promote(shelf.add(1.0))
        until(service, "1")
        shelf.add(2.0)
        with service.asked() as heard:
            took = [promoted(service, shelf, "2")]
            wait_for(lambda: heard[-1] == (4.0, "2"), SECONDS)
        change = heard.index((4.0, "2"))
        assert set(heard[:change]) == {(2.0, "1")}
        assert set(heard[change:]) == {(4.0, "2")}
        wait_for(lambda: shelf.version(2).tag("serving.state") == "live", SECONDS)
        took += [promoted(service, shelf, shelf.add(slope).version) for slope in (3.0, 4.0)]
        assert min(took) < 3.0  # a busy machine may spoil some of them


def test_a_wake_up_need_not_wait_for_the_poll(shelf: Shelf, server: Server, home: Path) -> None:
    with serving(shelf.name, home, server.url, registry={"poll_seconds": 60}) as service:
        service.start()
        wait_for(lambda: service.watcher.looked_at, SECONDS)
        shelf.promote(shelf.add(1.0))
        service.watcher.wake()
        until(service, "1")


def test_ten_swaps_without_a_wrong_answer(shelf: Shelf, server: Server, home: Path) -> None:
    with serving(shelf.name, home, server.url) as service:
        service.start()
        for slope in (1.0, 2.0, 3.0):
            shelf.promote(shelf.add(slope))
        until(service, "3")
        with service.asked() as heard:
            for turn in range(10):
                number = str(turn % 2 + 1)
                shelf.promote(number)
                until(service, number)
        right = {(2.0, "1"), (4.0, "2"), (6.0, "3")}
        assert set(heard) <= right
        assert len(service.history()) >= 10


def test_the_registry_goes_and_comes_back(
    shelf: Shelf, gate: Gate, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(shelf.name, home, gate.url) as service:
        service.start()
        shelf.promote(shelf.add(1.0))
        until(service, "1")
        with service.asked() as heard:
            gate.shut()
            wait_for(lambda: service.watcher._loop.failures >= 4, SECONDS)
            assert "does not answer" in service.watcher.trouble
            shelf.promote(shelf.add(2.0))
            assert service.live == "1"
            with pytest.raises(RegistryUnavailable):
                service.watcher.reload()
            gate.open()
            until(service, "2")
            wait_for(lambda: not service.watcher.trouble, SECONDS)
        assert set(heard) <= {(2.0, "1"), (4.0, "2")}
    said = [record for record in caplog.records if "does not answer" in record.getMessage()]
    assert len(said) < 4  # once for each kind of failure, not once for each look


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"oops", 500), (b"<html>", 200), (b'{"registered_models": "\xff"}', 200), (b"{}", 200)],
)
def test_the_registry_answers_garbage(
    body: bytes, status: int, shelf: Shelf, server: Server, gate: Gate, home: Path
) -> None:
    with serving(shelf.name, home, gate.url) as service:
        service.start()
        shelf.promote(shelf.add(1.0))
        until(service, "1")
        with service.asked() as heard, answering(body, status) as (url, requests):
            gate.lead_to(url)
            wait_for(lambda: len(requests) >= 3, SECONDS)
            wait_for(lambda: service.watcher.trouble or service.slot.trouble, SECONDS)
            gate.lead_to(server.url)
            shelf.promote(shelf.add(2.0))
            until(service, "2")
        assert set(heard) <= {(2.0, "1"), (4.0, "2")}


def test_a_start_with_everything_down(shelf: Shelf, gate: Gate, home: Path) -> None:
    with serving(shelf.name, home, gate.url) as before:
        before.start()
        shelf.promote(shelf.add(3.0))
        until(before, "1")
    gate.shut()
    with serving(shelf.name, home, gate.url) as after:
        after.start()
        until(after, "1")
        assert after.ask() == (6.0, "1")
        wait_for(lambda: "does not answer" in after.watcher.trouble, SECONDS)
        assert after.watcher.looked_at == 0
        shelf.promote(shelf.add(4.0))
        gate.open()
        until(after, "2")
        assert after.ask() == (8.0, "2")
        wait_for(lambda: not after.watcher.trouble, SECONDS)
        assert after.history() == [("swap", "1"), ("restore", "1"), ("swap", "2")]


def test_the_first_start_with_everything_down(shelf: Shelf, gate: Gate, home: Path) -> None:
    gate.shut()
    with serving(shelf.name, home, gate.url) as service:
        service.start()
        wait_for(lambda: service.watcher.trouble, SECONDS)
        assert service.live is None
        gate.open()
        shelf.promote(shelf.add(1.0))
        until(service, "1")


def test_two_processes_share_one_home(shelf: Shelf, server: Server, home: Path) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(serving(shelf.name, home, server.url)) for _ in range(2)]
        for service in both:
            service.start()
        for number in ("1", "2", "3"):
            shelf.promote(shelf.add(float(number)))
            for service in both:
                until(service, number)
        assert {service.ask(1.0) for service in both} == {(3.0, "3")}
        events = both[0].history()
        assert [events.count(("swap", number)) for number in "123"] == [2, 2, 2]
        assert len(both[0].cached) == 3


def test_one_call_tells_of_all_slots_and_quiet_looks_cost_one(
    shelf: Shelf, server: Server, home: Path
) -> None:
    shelf.promote(shelf.add(1.0))
    with serving(shelf.name, home, server.url) as service:
        service.look()
        service.look()
        requests: list[httpx.Request] = []
        service.watcher.registry.http.event_hooks["request"] = [requests.append]
        for _ in range(5):
            service.watcher.look()
        assert len(requests) == 5
        assert {request.url.path for request in requests} == {
            "/api/2.0/mlflow/registered-models/search"
        }


def test_a_process_that_stops_is_no_replica_any_more(
    shelf: Shelf, server: Server, home: Path
) -> None:
    with serving(shelf.name, home, server.url) as service:
        service.start()
        shelf.promote(shelf.add(1.0))
        wait_for(lambda: service.live and shelf.version(1).tag("serving.replicas") == "1", SECONDS)
    assert shelf.version(1).tag("serving.replicas") == "0"


def test_a_version_deleted_amid_a_look(
    shelf: Shelf, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.promote(shelf.add(1.0))
    with serving(shelf.name, home, server.url) as service:
        service.look()
        seen = service.watcher.registry.models()
        shelf.promote(shelf.add(2.0))
        seen = service.watcher.registry.models()
        body = {"name": shelf.name}
        shelf.registry.http.request("DELETE", "mlflow/registered-models/delete", json=body)
        monkeypatch.setattr(service.watcher.registry, "models", lambda **_: seen)
        service.watcher.look()
        assert service.ask() == (2.0, "1")
        assert service.slot.report()["trouble"]


def test_who_asks_for_a_look_gets_one_that_began_since(
    shelf: Shelf, server: Server, home: Path
) -> None:
    with serving(shelf.name, home, server.url, registry={"poll_seconds": 60}) as service:
        service.start()
        wait_for(lambda: service.watcher.looked_at, SECONDS)
        shelf.promote(shelf.add(1.0))
        asyncio.run(service.watcher.looked_anew())
        assert service.slot.candidate or service.live
        assert service.ask() == (2.0, "1"), "calls wait for what is on its way"
