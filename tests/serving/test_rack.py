"""Slots that come and go with the registered models of a prefix, in a real registry."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bentos.promotion.watcher import Watcher
from bentos.registry.client import CallFailed, Registry, Version
from bentos.serving.rack import Rack
from bentos.serving.release import Contract
from bentos.serving.slot import Slot
from bentos.settings import LimitSettings
from bentos.web.observing import Metrics
from tests.serving.gate import gated
from tests.serving.servers import Server, Store
from tests.serving.service import PRODUCTION, Here, run, settings
from tests.serving.versions import Shelf, bad
from tests.stack import wait_for

SECONDS = 60.0


def make(name: str) -> Slot[float, float]:
    anything = Contract(None, None)
    return Slot(name, anything, run, PRODUCTION, LimitSettings(), Metrics(), vacates=True)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name.replace('_', '-')}-"


@pytest.fixture
def one(registry: Registry, store: Store, prefix: str) -> Shelf:
    return Shelf(registry, store, f"{prefix}one")


@pytest.fixture
def two(registry: Registry, store: Store, prefix: str) -> Shelf:
    return Shelf(registry, store, f"{prefix}two")


@contextmanager
def watching(
    prefix: str, home: Path, uri: str, start: bool = True
) -> Iterator[tuple[Rack[float, float], Watcher]]:
    rack = Rack(prefix, make)
    watcher = Watcher([], settings(home, uri), Metrics(), [rack], Here())
    if start:
        watcher.start()
    try:
        yield rack, watcher
    finally:
        watcher.stop()
        watcher._admissions._threads.shutdown()  # what serves is on disk then


def live(rack: Rack[float, float], name: str) -> str | None:
    slot = rack.get(name)
    return slot.live.version.version if slot and slot.live else None


def test_patterns_say_which_names_have_slots() -> None:
    rack = Rack("", make, ["team-*", "churn", "risk v[12]"], ["team-old*"])
    names = ["team-a", "team-old 1", "churn", "churn 2", "risk v2", "risk v3"]
    (churn, *others) = rack.add(names)
    assert [churn.name, *(slot.name for slot in others)] == ["churn", "risk v2", "team-a"]
    assert rack.stems == ["team-", "churn", "risk v"]
    churn.promise()
    assert rack.get("churn") is churn
    alone = Rack("", make, ["team-*"], ["a*"], alone="a[1]*")
    assert [name for name in ["a[1]*", "a1", "team-a"] if alone.holds(name)] == ["a[1]*"]
    assert Rack("keras-", make).patterns == ["keras-*"]


def test_a_model_appears_and_leaves(
    one: Shelf, two: Shelf, prefix: str, server: Server, tmp_path: Path
) -> None:
    with watching(prefix, tmp_path, server.url) as (rack, watcher):
        wait_for(lambda: rack.ready, SECONDS)
        assert rack.slots == []
        one.promote(one.add(1.0))
        wait_for(lambda: live(rack, "one") == "1", SECONDS)
        two.add(2.0)
        watcher.reload()
        assert rack.get("two") is None  # registered, but not promoted
        assert [rack.name(slot) for slot in rack.slots] == ["one"]
        two.promote("1")
        wait_for(lambda: live(rack, "two") == "1", SECONDS)
        slot = rack.get("two")
        assert slot
        assert slot.live
        assert slot.live.row_shape == (1,)
        assert asyncio.run(slot.predict([3.0])).answers == pytest.approx([6.0])
        two.promote("1", to="Archived")
        wait_for(lambda: slot.live is None, SECONDS)
        assert rack.get("two") is None
        one.registry.http.request(
            "DELETE", "mlflow/registered-models/delete", json={"name": one.name}
        ).raise_for_status()
        wait_for(lambda: watcher.artifacts.names() == [], SECONDS)
        assert rack.get("one") is None
        wait_for(
            lambda: one.name not in {f.slot.name for f in watcher.followed.followers}, SECONDS
        )


def test_what_served_comes_back_from_disk_alone(
    one: Shelf, two: Shelf, prefix: str, server: Server, tmp_path: Path
) -> None:
    with gated(server.url) as gate:
        with watching(prefix, tmp_path, gate.url) as (rack, _):
            for shelf in (one, two):
                shelf.promote(shelf.add(1.0))
            wait_for(lambda: live(rack, "one") and live(rack, "two"), SECONDS)
        gate.shut()
        with watching(prefix, tmp_path, gate.url) as (rack, watcher):
            assert rack.get("one"), "callers wait for what the disk holds, and get no 404"
            wait_for(lambda: rack.ready and live(rack, "one") == "1", SECONDS)
            two.promote("1", to="Archived")
            gate.open()
            wait_for(lambda: watcher.artifacts.names() == [one.name], SECONDS)
            assert rack.get("two") is None


def test_a_rack_is_not_ready_before_its_models_are_known(
    one: Shelf, prefix: str, server: Server, tmp_path: Path
) -> None:
    with gated(server.url) as gate:
        gate.shut()
        with watching(prefix, tmp_path, gate.url) as (rack, watcher):
            wait_for(lambda: watcher.trouble, SECONDS)
            assert not rack.ready
            one.promote(one.add(1.0))
            gate.open()
            wait_for(lambda: rack.ready and live(rack, "one"), SECONDS)


def test_a_refused_model_does_not_keep_the_others_from_being_ready(
    one: Shelf, two: Shelf, prefix: str, server: Server, tmp_path: Path
) -> None:
    one.promote(one.add(1.0))
    bad(two, tmp_path / "bad")
    with watching(prefix, tmp_path, server.url) as (rack, _):
        wait_for(lambda: rack.ready, SECONDS)
        slot = rack.get("two")
        assert slot
        assert slot.refused
        assert live(rack, "one") == "1"


def test_any_name_serves(
    registry: Registry, store: Store, prefix: str, server: Server, tmp_path: Path
) -> None:
    """Names that no file, no filter and no header could hold as they are."""
    source = Shelf(registry, store, f"source-of-{prefix}")
    of = source.add(1.0)
    rests = ["a'b\"c", "房" * (255 - len(prefix)), "..", "a b%2F", "\\", "x" * (255 - len(prefix))]
    for rest in rests:
        shelf = Shelf(registry, store, f"{prefix}{rest}")
        registry.http.post("mlflow/registered-models/create", json={"name": shelf.name})
        body = {"name": shelf.name, "source": of.source, "run_id": of.run_id}
        registry.http.post(
            "mlflow/model-versions/create",
            json=body | {"model_id": of.source.removeprefix("models:/")},
        ).raise_for_status()
        shelf.promote("1")
    with watching(prefix, tmp_path, server.url) as (rack, watcher):
        wait_for(lambda: rack.ready and all(live(rack, rest) == "1" for rest in rests), SECONDS)
        assert not watcher.trouble
        assert sorted(watcher.artifacts.names()) == sorted(f"{prefix}{rest}" for rest in rests)


def test_one_model_that_cannot_be_asked_for_keeps_no_other_waiting(
    one: Shelf, two: Shelf, prefix: str, server: Server, tmp_path: Path
) -> None:
    one.promote(one.add(1.0))
    two.promote(two.add(1.0))
    with watching(prefix, tmp_path, server.url, start=False) as (rack, watcher):
        ask = watcher.registry.versions

        def failing(name: str) -> list[Version]:
            if name == one.name:
                raise CallFailed("400: never heard of such names", final=True)
            return ask(name)

        watcher.registry.versions = failing  # type: ignore[method-assign]
        watcher.start()
        wait_for(lambda: live(rack, "two") == "1", SECONDS)
        assert not watcher.trouble
        slot = rack._slots[one.name]
        assert "never heard" in slot.trouble
        watcher.registry.versions = ask  # type: ignore[method-assign]
        wait_for(lambda: live(rack, "one") == "1", SECONDS)
