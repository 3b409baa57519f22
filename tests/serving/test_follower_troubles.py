"""One slot that follows its channel while disk, store, registry or others are in its way."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from bentos.admission.judging import judge
from bentos.admission.verdict import Case, Verdict
from bentos.registry.client import Registry, RegistryUnavailable
from tests.serving.gate import Gate, gated
from tests.serving.servers import Store
from tests.serving.service import Here, Open
from tests.serving.versions import Shelf, bad, state
from tests.stack import wait_for


def test_last_good_version_from_disk(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    after = open_service(uri="http://127.0.0.1:1")
    for follower in after.watcher.followed.followers:
        follower.restore()
    assert after.ask() == (6.0, "1")
    assert after.history() == [("swap", "1"), ("restore", "1")]


def _rot(home: Path) -> None:
    """Change the model's file, and what its admission left of it."""
    for path in home.glob("cache/*/1-*/**/model.skops"):
        path.write_bytes(b"rotten")


def test_a_changed_file_on_disk_is_fetched_once_more(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    _rot(before.settings.home)
    after = open_service()
    for follower in after.watcher.followed.followers:
        follower.restore()
    assert after.ask() == (6.0, "1")


def test_a_rotten_disk_without_a_registry_serves_nothing(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    _rot(before.settings.home)
    after = open_service(uri="http://127.0.0.1:1")
    for follower in after.watcher.followed.followers:
        follower.restore()
    assert after.live is None


@pytest.fixture
def gate(store: Store) -> Iterator[Gate]:
    with gated(store.env["AWS_ENDPOINT_URL"]) as gate:
        yield gate


def test_the_store_is_down_for_a_while(
    shelf: Shelf, store: Store, gate: Gate, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (store.env | {"AWS_ENDPOINT_URL": gate.url}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    straight = {"artifacts": "s3", "s3_root": "s3://models/artifacts"}
    service = open_service(registry=straight)
    shelf.promote(shelf.add(1.0))
    service.look()
    assert service.ask() == (2.0, "1")
    gate.shut()
    shelf.promote(shelf.add(2.0))
    service.look()
    report = service.slot.report()
    assert "s3://models" in report["trouble"]
    assert (report["candidate"], report["refused"]) == ("2", None)
    assert state(shelf, 2) == "admitting"
    assert "s3://models" in shelf.version(2).tag("serving.reason")
    assert service.ask() == (2.0, "1")
    gate.open()

    def looked() -> bool:
        service.look()
        return service.live == "2"

    wait_for(looked, 60)
    assert service.slot.report()["trouble"] is None
    tags = shelf.version(2)
    assert (tags.tag("serving.state"), tags.tag("serving.reason")) == ("live", "")


class Halting(Here):
    """Admissions that wait from `halt` on, as soon as they have begun, until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.amid = Event()
        self.go_on = Event()
        self.go_on.set()
        self.admissions = 0

    def halt(self) -> None:
        self.amid.clear()
        self.go_on.clear()

    def judge(self, case: Case) -> Verdict:
        self.admissions += 1
        self.amid.set()
        assert self.go_on.wait(60)
        return judge(case)


def test_a_candidate_that_is_overtaken(shelf: Shelf, open_service: Open) -> None:
    halting = Halting()
    service = open_service(office=halting)
    shelf.promote(shelf.add(1.0))
    service.look()
    halting.halt()
    shelf.promote(shelf.add(2.0))
    service.watcher.look()
    assert halting.amid.wait(60)
    shelf.promote("1")
    service.watcher.look()
    halting.go_on.set()
    service.look()
    assert service.ask() == (2.0, "1")
    assert service.history() == [("swap", "1")]
    assert service.slot.report()["candidate"] is None
    assert state(shelf, 2) == "retired"
    assert "moved on" in shelf.version(2).tag("serving.reason")


def test_a_description_that_is_edited_meanwhile(shelf: Shelf, open_service: Open) -> None:
    halting = Halting()
    service = open_service(office=halting)
    halting.halt()
    shelf.promote(shelf.add(1.0))
    service.watcher.look()
    assert halting.amid.wait(60)
    shelf.add(2.0)  # moves the model's timestamp, so that the target is read anew
    service.watcher.look()
    halting.go_on.set()
    service.look()
    assert service.ask() == (2.0, "1")
    assert halting.admissions == 1


def test_two_processes_on_one_disk_refuse_for_the_same_reason(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    both = [open_service(), open_service()]
    shelf.promote(shelf.add(1.0))
    for service in both:
        service.look()
    bad(shelf, tmp_path / "bad")
    looks = [Thread(target=service.bring) for service in both]
    for look in looks:
        look.start()
    for look in looks:
        look.join()

    def refused() -> bool:
        for service in both:
            service.look()
        return all(service.slot.refused for service in both)

    wait_for(refused, 60)
    assert {str(s.slot.refused and s.slot.refused.reason) for s in both} == {"samples"}
    assert {service.ask() for service in both} == {(2.0, "1")}


class Vanishing(Here):
    """The files of the first case are thrown away by another process."""

    vanished: Path | None = None

    def judge(self, case: Case) -> Verdict:
        if self.vanished is None:
            self.vanished = case.folder
            shutil.rmtree(case.folder)
        return judge(case)


def test_files_that_vanish_while_they_are_judged(shelf: Shelf, open_service: Open) -> None:
    """That is no reason to refuse the version."""
    office = Vanishing()
    service = open_service(office=office)
    shelf.promote(shelf.add(1.0))
    service.look()
    assert office.vanished
    assert service.slot.refused is None

    def looked() -> bool:
        service.look()
        return service.live == "1"

    wait_for(looked, 60)


def test_when_the_registry_answers_again_nothing_waits(
    registry: Registry, shelf: Shelf, open_service: Open
) -> None:
    with gated(registry.uri) as gate:
        service = open_service(uri=gate.url, registry={"max_backoff_seconds": 1000.0})
        shelf.promote(shelf.add(1.0))
        for follower in service.watcher.followed.followers:
            for _ in range(20):  # so often it failed to bring the version
                follower._patience.fail()
        gate.shut()
        service.watcher._loop.look_safely()
        gate.open()
        service.look()
        assert service.ask() == (2.0, "1")


def test_who_learns_what(registry: Registry, shelf: Shelf, open_service: Open) -> None:
    """A registry that is down when a swap happens learns of it when it is back."""
    with gated(registry.uri) as gate:
        service = open_service(uri=gate.url)
        shelf.promote(shelf.add(1.0))
        service.bring()
        assert service.ask() == (2.0, "1")
        gate.shut()
        with pytest.raises(RegistryUnavailable):
            service.look()
        assert state(shelf, 1) == ""
        gate.open()
        service.look()
        assert state(shelf, 1) == "live"
