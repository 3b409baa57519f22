"""One slot that follows the real registry and store, look by look."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from bentos.settings import Channel
from tests.serving.servers import Store
from tests.serving.service import Open
from tests.serving.versions import Shelf, bad, state


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


def test_a_rollback_loads_nothing(shelf: Shelf, store: Store, open_service: Open) -> None:
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


def test_a_fresh_process_brings_back_what_served_last(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    first = open_service()
    for slope in (1.0, 2.0):
        shelf.promote(shelf.add(slope))
        first.look()
    bad(shelf, tmp_path / "bad")
    first.look()
    fresh = open_service(home="fresh")
    fresh.look()
    assert fresh.ask(1.0) == (2.0, "2")
    report = fresh.slot.report()
    assert (report["refused"].version, report["trouble"]) == ("3", None)
    assert fresh.history() == [("refusal", "3"), ("restore", "2")]
    shelf.promote("2", to="Archived")
    shelf.promote("1", to="Archived")
    shelf.promote("3", to="Archived")
    demoted = open_service(home="demoted")
    demoted.look()
    assert demoted.ask(1.0) == (2.0, "2"), "a demotion empties no slot"
    shelf.promote("1")
    fresh.look()
    assert fresh.ask(1.0) == (1.0, "1")


def test_after_the_last_replica_ended_a_fresh_process_brings_back_what_it_served(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    first = open_service()
    shelf.promote(shelf.add(1.0))
    first.look()
    first.watcher.notes.close()
    assert state(shelf, 1) == "stopped"
    bad(shelf, tmp_path / "bad")
    fresh = open_service(home="fresh")
    fresh.look()
    assert fresh.ask(1.0) == (1.0, "1")
    assert state(shelf, 1) == "live"


def test_another_channel_is_not_brought_back(
    shelf: Shelf, open_service: Open, tmp_path: Path
) -> None:
    other = open_service(Channel(alias="champion"))
    shelf.registry.set_alias(shelf.name, shelf.add(1.0).version, "champion")
    other.look()
    bad(shelf, tmp_path / "bad")
    fresh = open_service(home="fresh")
    for _ in range(2):
        fresh.look()
    assert fresh.live is None
    requests: list[Any] = []
    fresh.watcher.registry.http.event_hooks["request"] = [requests.append]
    fresh.watcher.look()
    assert len(requests) == 1, "it looks for what served last once, not at each look"
