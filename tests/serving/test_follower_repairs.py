"""Versions that are registered again, or repaired."""

from functools import partial
from pathlib import Path

import pytest

import mlflow
from bentos.promotion import rejected
from bentos.registry.client import CallFailed, Tag
from bentos.registry.digests import signed
from bentos.settings import Channel
from mlflow import MlflowClient
from tests.serving.servers import Store
from tests.serving.service import Open
from tests.serving.versions import Shelf, line, state
from tests.serving.versions import signed as signed_folder
from tests.stack import wait_for


def test_a_version_registered_again_has_its_digest(shelf: Shelf, open_service: Open) -> None:
    service = open_service()
    first = shelf.add(1.0)
    again = mlflow.register_model(
        f"runs:/{first.run_id}/{shelf.name}", shelf.name, await_registration_for=0
    )
    shelf.promote(str(again.version))
    service.look()
    assert service.ask(1.0) == (1.0, "2")
    assert service.slot.report()["live"]["digest"] == first.digest


def test_a_copy_of_a_version_registered_again(shelf: Shelf, open_service: Open) -> None:
    other = f"{shelf.name}-other"
    first = shelf.add(1.0)
    source = shelf.registry.version(shelf.name, "1").source
    mlflow.register_model(source, other, await_registration_for=0)
    MlflowClient().copy_model_version(f"models:/{other}/1", shelf.name)
    assert signed(shelf.registry, shelf.version(2)).digest == first.digest


def test_a_bucket_alone_changes_no_version_registered_again(
    shelf: Shelf, store: Store, open_service: Open, tmp_path: Path
) -> None:
    """Whoever writes a manifest of their own into the bucket does not write its digest."""
    service = open_service()
    first = shelf.add(1.0)
    evil = signed_folder(line(5.0), tmp_path / "evil")
    for path in evil.rglob("*"):
        if path.is_file():
            store.put(shelf.key(first, path.relative_to(evil).as_posix()), path.read_bytes())
    mlflow.register_model(first.source, shelf.name, await_registration_for=0)
    shelf.promote("2")
    service.look()
    assert service.live is None
    assert service.slot.refused
    assert service.slot.refused.reason == "digest"


@pytest.mark.parametrize("again", ["set again", "moved away and back"])
def test_a_version_repaired_under_an_alias_is_tried_again(
    again: str, shelf: Shelf, store: Store, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service(Channel(alias="champion"))
    point = partial(shelf.registry.set_alias, shelf.name, alias="champion")
    point(shelf.add(1.0).version)
    service.look()
    second = shelf.add(2.0)
    key = shelf.key(second, "model.skops")
    good = store.get(key)
    store.put(key, b"overwritten by accident")
    if again == "set again":
        monkeypatch.setattr(rejected, "FIRST_SECONDS", 0.01)
    point("2")
    service.look()
    assert state(shelf, 2) == "refused"
    assert service.history()[-1] == ("refusal", "2")
    kept = service.watcher.followed.followers[0]._rejected
    assert kept
    wait_for(lambda: kept.patience.over or again != "set again")
    service.look()
    assert service.history().count(("refusal", "2")) == 1, "its files are as they were"
    store.put(key, good)
    if again == "moved away and back":
        point("1")
        service.look()
    point("2")

    def looked() -> bool:
        service.look()
        return service.live == "2"

    wait_for(looked, 60)
    assert state(shelf, 2) == "live"


def test_a_logged_model_that_may_not_be_read_leaves_its_version_unsigned(
    shelf: Shelf, open_service: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(model_id: str) -> tuple[Tag, ...]:
        raise CallFailed(f"403: {model_id} is not yours to read", final=True)

    service = open_service()
    first = shelf.add(1.0)
    mlflow.register_model(first.source, shelf.name, await_registration_for=0)
    monkeypatch.setattr(service.watcher.registry, "logged_tags", forbidden)
    shelf.promote("2")
    service.look()
    assert service.slot.refused
    assert service.slot.refused.reason == "unsigned"
