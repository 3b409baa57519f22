from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from bentos.promotion import notes as module
from bentos.promotion.ledger import REPLICA, stamp
from bentos.promotion.notes import Note, Notes, State
from bentos.registry.client import Registry, RegistryUnavailable, Version
from tests.serving.gate import gated
from tests.serving.servers import Server, reading
from tests.serving.versions import Shelf

Say = Callable[..., None]


@pytest.fixture
def version(shelf: Shelf) -> Version:
    """A version that needs no files."""
    registry = shelf.registry
    for path, body in (
        ("registered-models/create", {"name": shelf.name}),
        ("model-versions/create", {"name": shelf.name, "source": "s3://models/nowhere"}),
    ):
        registry.http.post(f"mlflow/{path}", json=body).raise_for_status()
    return shelf.version(1)


@pytest.fixture
def say(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Several replicas: each with notes of its own, writing under its own name."""
    replicas: dict[str, Notes] = {}

    def said(replica: str, version: Version, state: State | None, reason: str = "") -> None:
        monkeypatch.setattr(module, "REPLICA", replica)
        notes = replicas.setdefault(replica, Notes(registry))
        if state is None:
            notes.close()
            return
        notes.put(Note(version, state, reason))
        notes.flush()

    return said


def told(registry: Registry, version: Version) -> dict[str, str]:
    """The tags of a version, less the times."""
    tags = registry.version(version.name, version.version).tags
    plain = {tag.key.removeprefix("serving."): tag.value for tag in tags}
    return {
        key: value
        for key, value in plain.items()
        if key != "since" and not key.startswith("replica.")
    }


def test_the_life_of_a_version(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "admitting")
    assert told(registry, version) == {"state": "admitting", "replicas": "0"}
    say("a", version, "live")
    assert told(registry, version) == {"state": "live", "replicas": "1"}
    since = registry.version(version.name, "1").tag("serving.since")
    assert datetime.now(UTC) - datetime.fromisoformat(since) < timedelta(minutes=1)
    say("a", version, "live")
    assert registry.version(version.name, "1").tag("serving.since") == since
    say("a", version, "retired", "replaced by gas/2")
    assert told(registry, version) == {
        "state": "retired",
        "replicas": "0",
        "reason": "replaced by gas/2",
    }
    say("a", version, "live")
    assert told(registry, version) == {"state": "live", "replicas": "1", "reason": ""}


def test_a_refusal_and_another_try(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "refused", "samples: 3 of 8 values differ")
    assert told(registry, version) == {
        "state": "refused",
        "replicas": "0",
        "reason": "samples: 3 of 8 values differ",
    }
    say("a", version, "admitting")
    assert told(registry, version) == {"state": "admitting", "replicas": "0", "reason": ""}


def test_long_reasons_are_cut(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "refused", "load: " + "é" * 6000)
    assert told(registry, version)["reason"].startswith("load: ééé")


def test_several_replicas(registry: Registry, version: Version, say: Say) -> None:
    for replica in "abc":
        say(replica, version, "live")
    assert told(registry, version) == {"state": "live", "replicas": "3"}
    say("a", version, "retired", "replaced by gas/2")
    now = told(registry, version)
    assert (now["state"], now["replicas"]) == ("live", "2")
    say("b", version, None)  # it stops
    assert told(registry, version)["replicas"] == "1"
    say("c", version, "retired", "replaced by gas/2")
    now = told(registry, version)
    assert (now["state"], now["replicas"]) == ("retired", "0")


def test_replicas_that_stopped_telling_are_struck_off(
    registry: Registry, version: Version, say: Say
) -> None:
    long_ago = stamp(datetime.now(UTC) - module.STALE - timedelta(seconds=1))
    just_now = stamp(datetime.now(UTC) - module.HEARTBEAT)
    registry.set_tag(version, "serving.replica.dead", long_ago)
    registry.set_tag(version, "serving.replica.odd", "yesterday")
    registry.set_tag(version, "serving.replica.naive", "2026-01-01T00:00:00")
    registry.set_tag(version, "serving.replica.alive", just_now)
    say("a", version, "live")
    keys = {tag.key for tag in registry.version(version.name, "1").tags}
    assert {key for key in keys if key.startswith("serving.replica.")} == {
        "serving.replica.alive",
        "serving.replica.a",
    }
    assert told(registry, version)["replicas"] == "2"


def test_what_is_live_is_told_again(
    registry: Registry, version: Version, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(registry)
    notes.put(Note(version, "live"))
    notes.flush()
    key = f"serving.replica.{REPLICA}"
    first = registry.version(version.name, "1").tag(key)
    notes.flush()
    assert registry.version(version.name, "1").tag(key) == first
    monkeypatch.setattr(module, "HEARTBEAT", timedelta(0))
    notes.flush()
    assert registry.version(version.name, "1").tag(key) > first


def test_without_the_registry_notes_wait(server: Server, registry: Registry) -> None:
    with gated(server.url) as gate, reading(gate.url) as distant:
        notes = Notes(distant)
        versions = [created(registry, f"waiting-{number}") for number in range(3)]
        gate.shut()
        for version in versions:
            notes.put(Note(version, "admitting"))
            notes.put(Note(version, "live"))
        with pytest.raises(RegistryUnavailable):
            notes.flush()
        notes.close()  # says so in the log, and does not fail
        gate.open()
        notes.flush()
    for version in versions:
        assert told(registry, version) == {"state": "live", "replicas": "1"}


def created(registry: Registry, name: str) -> Version:
    registry.http.post("mlflow/registered-models/create", json={"name": name}).raise_for_status()
    body = {"name": name, "source": "s3://models/nowhere"}
    registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    return registry.version(name, "1")


def test_a_version_that_left_holds_up_nobody(registry: Registry, version: Version) -> None:
    notes = Notes(registry)
    notes.put(Note(version, "live"))
    notes.put(Note(Version("never-there", "1"), "live"))
    notes.flush()
    assert told(registry, version)["state"] == "live"
    notes.put(Note(version, "retired", "replaced"))
    notes.flush()
    assert told(registry, version)["state"] == "retired"


def test_many_threads_flush_at_once(registry: Registry) -> None:
    notes = Notes(registry)
    versions = [created(registry, f"flushed-{number}") for number in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for version in versions:
                notes.put(Note(version, "live"))
            for flushing in [pool.submit(notes.flush) for _ in range(4)]:
                flushing.result(60)
    for version in versions:
        assert told(registry, version) == {"state": "live", "replicas": "1"}
