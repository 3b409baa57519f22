"""One slot that follows the real registry and store, look by look."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from bentos.serving.admission import admit
from bentos.serving.registry import Registry, RegistryUnavailable
from bentos.serving.release import Release
from bentos.settings import Channel
from tests.serving import versions
from tests.serving.gate import Gate, gated
from tests.serving.servers import Server, Store
from tests.serving.service import PRODUCTION, Service, serving
from tests.serving.versions import Shelf
from tests.stack import wait_for
from training.manifest import write_manifest

Open = Callable[..., Service]


@pytest.fixture
def open_service(shelf: Shelf, server: Server, tmp_path: Path) -> Iterator[Open]:
    """Services that share one ASCENSO_HOME."""
    with ExitStack() as stack:

        def opened(
            channel: Channel = PRODUCTION, uri: str = server.url, **sections: dict[str, Any]
        ) -> Service:
            home = tmp_path / "home"
            return stack.enter_context(serving(shelf.name, home, uri, channel, **sections))

        yield opened


def bad(shelf: Shelf, folder: Path) -> None:
    """Register and promote a version that answers otherwise than its samples."""
    versions.save(versions.line(5.0), folder)
    write_manifest(folder, versions.samples(versions.line(1.0)), versions.LIBRARIES)
    shelf.promote(shelf.publish(folder, versions.digest(folder)))


def state(shelf: Shelf, number: int) -> str:
    return shelf.version(number).tag("serving.state")


def test_promotions_one_after_the_other(shelf: Shelf, open_service: Open) -> None:
    service = open_service()
    service.watcher.look()
    assert service.slot.report()["trouble"] == f"{shelf.name} is not in the registry"
    for slope in (1.0, 2.0, 3.0):
        shelf.add(slope)
    service.look()
    assert "holds the stage Production" in service.slot.report()["trouble"]
    for number in (3, 1, 2):
        shelf.promote(str(number))
        service.look()
        assert service.ask(1.0) == (float(number), str(number))
    assert [state(shelf, number) for number in (1, 2, 3)] == ["retired", "live", "retired"]
    assert shelf.version(3).tag("serving.reason") == f"replaced by {shelf.name}/1"
    report = service.slot.report()
    assert (report["live"]["version"], report["previous"]["version"]) == ("2", "1")
    assert report["live"]["digest"] == shelf.version(2).digest
    assert report["live"]["run_id"] == shelf.version(2).run_id
    assert report["trouble"] is report["refused"] is report["candidate"] is None
    assert service.history() == [("swap", "3"), ("swap", "1"), ("swap", "2")]


def test_an_alias(shelf: Shelf, open_service: Open) -> None:
    service = open_service(Channel(alias="champion"))
    for slope in (1.0, 2.0):
        shelf.add(slope)
    for number in ("2", "1", "2"):
        shelf.registry.set_alias(shelf.name, number, "champion")
        service.look()
        assert service.ask(1.0) == (float(number), number)
    assert service.history() == [("swap", "2"), ("swap", "1"), ("rollback", "2")]


def test_a_rollback_loads_nothing(
    shelf: Shelf, store: Store, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service()
    for slope in (1.0, 2.0):
        shelf.promote(shelf.add(slope))
        service.look()
    first = service.slot.previous
    for name in shelf.files(shelf.version(1)):
        store.delete(shelf.key(shelf.version(1), name))
    shutil.rmtree(service.settings.home / "cache")
    shelf.promote("1")
    service.look()
    assert service.ask() == (2.0, "1")
    assert service.slot.live
    assert first
    assert service.slot.live.predict is first.predict
    assert service.cached == []
    assert service.history()[-1] == ("rollback", "1")
    assert [state(shelf, number) for number in (1, 2)] == ["live", "retired"]


def test_without_a_warm_release_a_rollback_loads_again(shelf: Shelf, open_service: Open) -> None:
    service = open_service(admission={"keep_previous": False})
    for slope in (1.0, 2.0):
        shelf.promote(shelf.add(slope))
        service.look()
    assert service.slot.previous is None
    shelf.promote("1")
    service.look()
    assert service.ask() == (2.0, "1")
    assert service.history()[-1] == ("swap", "1")


def test_a_refused_version_is_not_tried_at_every_look(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    bad(shelf, tmp_path / "bad")
    for _ in range(3):
        service.look()
    shelf.add(7.0)  # the model's timestamp moves, and nothing is promoted
    service.look()
    assert service.history() == [("swap", "1"), ("refusal", "2")]
    assert service.ask() == (2.0, "1")
    assert state(shelf, 1) == "live"
    assert state(shelf, 2) == "refused"


@pytest.mark.parametrize("again", ["promoted", "reloaded"])
def test_a_refused_version_is_tried_again(
    again: str, shelf: Shelf, store: Store, open_service: Open
) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    second = shelf.add(2.0)
    key = shelf.key(second, "model.skops")
    good = store.get(key)
    store.put(key, b"overwritten by accident")
    shelf.promote(second)
    service.look()
    assert state(shelf, 2) == "refused"
    store.put(key, good)
    if again == "promoted":
        shelf.promote(second)
        service.look()
    else:
        service.watcher.reload()
    assert service.ask() == (4.0, "2")
    tags = shelf.version(2)
    assert (tags.tag("serving.state"), tags.tag("serving.reason")) == ("live", "")


def test_back_to_the_live_version_after_a_refusal(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    bad(shelf, tmp_path / "bad")
    service.look()
    shelf.promote("1")
    service.look()
    assert service.history() == [("swap", "1"), ("refusal", "2")]
    assert service.slot.report()["trouble"] is None


def test_a_deleted_model_goes_on_serving(shelf: Shelf, open_service: Open) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    delete(shelf)
    service.look()
    assert service.ask() == (2.0, "1")
    assert service.slot.report()["trouble"] == f"{shelf.name} is not in the registry"


def test_a_model_made_anew_counts_from_one_again(shelf: Shelf, open_service: Open) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    delete(shelf)
    shelf.promote(shelf.add(5.0))
    service.look()
    assert service.ask() == (10.0, "1")
    assert service.history() == [("swap", "1"), ("swap", "1")]
    assert state(shelf, 1) == "live"


def delete(shelf: Shelf) -> None:
    answer = shelf.registry.http.request(
        "DELETE", "mlflow/registered-models/delete", json={"name": shelf.name}
    )
    answer.raise_for_status()


def test_a_demotion_returns_to_the_one_before(shelf: Shelf, open_service: Open) -> None:
    service = open_service()
    for slope in (1.0, 2.0):
        shelf.promote(shelf.add(slope))
        service.look()
    shelf.promote("2", to="Archived")
    service.look()
    assert service.ask() == (2.0, "1")
    shelf.promote("1", to="Archived")
    service.look()
    assert service.ask() == (2.0, "1")  # nothing is unloaded before its successor is admitted
    assert "no version of" in service.slot.report()["trouble"]


def test_the_order_of_promotions_survives_a_restart(shelf: Shelf, open_service: Open) -> None:
    first = open_service()
    for slope in (1.0, 2.0):
        shelf.add(slope)
    for number in ("2", "1"):
        shelf.promote(number)
        first.look()
    for number in ("1", "2"):  # both edited: the registry alone no longer tells
        body = {"name": shelf.name, "version": number, "description": "edited"}
        shelf.registry.http.patch("mlflow/model-versions/update", json=body).raise_for_status()
        shelf.registry.delete_tag(shelf.version(number), "serving.state")
    shelf.add(3.0)
    second = open_service()
    second.look()
    assert second.ask() == (2.0, "1")


def test_last_good_version_from_disk(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    after = open_service(uri="http://127.0.0.1:1")
    for follower in after.watcher.followers:
        follower.restore()
    assert after.ask() == (6.0, "1")
    assert after.history() == [("swap", "1"), ("restore", "1")]


def test_a_changed_file_on_disk_is_fetched_once_more(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    (path,) = before.settings.home.glob("cache/*/1-*/model.skops")
    path.write_bytes(b"rotten")
    after = open_service()
    for follower in after.watcher.followers:
        follower.restore()
    assert after.ask() == (6.0, "1")


def test_a_rotten_disk_without_a_registry_serves_nothing(shelf: Shelf, open_service: Open) -> None:
    before = open_service()
    shelf.promote(shelf.add(3.0))
    before.look()
    (path,) = before.settings.home.glob("cache/*/1-*/model.skops")
    path.write_bytes(b"rotten")
    after = open_service(uri="http://127.0.0.1:1")
    for follower in after.watcher.followers:
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

    wait_for(looked, 10)
    assert service.slot.report()["trouble"] is None
    tags = shelf.version(2)
    assert (tags.tag("serving.state"), tags.tag("serving.reason")) == ("live", "")


def test_a_candidate_that_is_overtaken(
    shelf: Shelf, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    amid, go_on = Event(), Event()

    def halting(*given: Any) -> Release:
        amid.set()
        assert go_on.wait(30)
        return admit(*given)

    monkeypatch.setattr("bentos.serving.follower.admit", halting)
    shelf.promote(shelf.add(2.0))
    service.watcher.look()
    assert amid.wait(30)
    shelf.promote("1")
    service.watcher.look()
    go_on.set()
    service.look()
    assert service.ask() == (2.0, "1")
    assert service.history() == [("swap", "1")]
    assert service.slot.report()["candidate"] is None
    assert state(shelf, 2) == "retired"
    assert "moved on" in shelf.version(2).tag("serving.reason")


def test_a_description_that_is_edited_meanwhile(
    shelf: Shelf, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service()
    amid, go_on = Event(), Event()
    admissions = []

    def halting(*given: Any) -> Release:
        admissions.append(given)
        amid.set()
        assert go_on.wait(30)
        return admit(*given)

    monkeypatch.setattr("bentos.serving.follower.admit", halting)
    shelf.promote(shelf.add(1.0))
    service.watcher.look()
    assert amid.wait(30)
    shelf.add(2.0)  # moves the model's timestamp, so that the target is read anew
    service.watcher.look()
    go_on.set()
    service.look()
    assert service.ask() == (2.0, "1")
    assert len(admissions) == 1


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

    wait_for(refused, 10)
    assert {str(s.slot.refused and s.slot.refused.reason) for s in both} == {"samples"}
    assert {service.ask() for service in both} == {(2.0, "1")}


def test_files_that_vanish_while_they_are_judged(
    shelf: Shelf, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process threw the folder away: that is no reason to refuse the version."""
    service = open_service()
    vanished: list[Path] = []

    def vanishing(version: Any, folder: Path, *given: Any) -> Release:
        if not vanished:
            vanished.append(folder)
            shutil.rmtree(folder)
        return admit(version, folder, *given)

    monkeypatch.setattr("bentos.serving.follower.admit", vanishing)
    shelf.promote(shelf.add(1.0))
    service.look()
    assert vanished
    assert service.slot.refused is None

    def looked() -> bool:
        service.look()
        return service.live == "1"

    wait_for(looked, 10)


def test_who_is_told_what(registry: Registry, shelf: Shelf, open_service: Open) -> None:
    """The registry that is down when a swap happens is told when it is back."""
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
