from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from bentos.promotion.notes import Note
from bentos.registry.client import CallFailed, Registry, RegistryUnavailable, Version
from tests.serving.gate import gated
from tests.serving.notes.written import Open, Say, created, see, tags_of, words
from tests.serving.servers import Server, reading


def test_the_life_of_a_version(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "admitting")
    assert tags_of(registry, version) == {"state": "admitting", "replicas": "0"}
    say("a", version, "live")
    assert tags_of(registry, version) == {"state": "live", "replicas": "1"}
    since = registry.version(version.name, "1").tag("serving.since")
    assert datetime.now(UTC) - datetime.fromisoformat(since) < timedelta(minutes=1)
    say("a", version, "live")
    assert registry.version(version.name, "1").tag("serving.since") == since
    say("a", version, "retired", "replaced by gas/2")
    assert tags_of(registry, version) == {
        "state": "retired",
        "replicas": "0",
        "reason": "replaced by gas/2",
    }
    say("a", version, "live")
    assert tags_of(registry, version) == {"state": "live", "replicas": "1", "reason": ""}


def test_a_refusal_and_another_try(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "refused", "samples: 3 of 8 values differ")
    assert tags_of(registry, version) == {
        "state": "refused",
        "replicas": "0",
        "reason": "samples: 3 of 8 values differ",
    }
    say("a", version, "admitting")
    assert tags_of(registry, version) == {"state": "admitting", "replicas": "0", "reason": ""}


def test_long_reasons_are_cut(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "refused", "load: " + "é" * 6000)
    assert tags_of(registry, version)["reason"].startswith("load: ééé")


def test_the_alias_of_what_serves(registry: Registry, version: Version, opened: Open) -> None:
    def alias() -> str | None:
        return registry.model(version.name).alias("live")

    notes = opened(registry, "a")
    second = created(registry, version.name)
    notes.put(Note(version, "live", channel="stage Production"))
    notes.flush()
    assert alias() == "1"
    notes.put(Note(second, "live", channel="stage Production"))
    notes.put(Note(version, "retired", channel="stage Production"))
    notes.flush()
    assert alias() == "2"
    registry.set_alias(version.name, "1", "live")  # by hand
    see(registry, version, notes, version.name)
    assert alias() == "2"
    notes.put(Note(second, "retired", "vacated", channel="stage Production"))
    notes.flush()
    assert alias() is None


def test_no_alias_where_none_is_wanted(registry: Registry, version: Version, opened: Open) -> None:
    notes = opened(registry, alias="")
    notes.put(Note(version, "live"))
    notes.flush()
    assert registry.model(version.name).aliases == ()


def test_what_the_registry_never_takes_is_dropped(
    registry: Registry, version: Version, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def refusing(version: Version, key: str, value: str) -> None:
        if version.name == other.name:
            raise CallFailed("403: you may not", final=True)
        write(version, key, value)

    other, write = created(registry, f"{version.name}-2"), registry.set_tag
    notes = opened(registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "set_tag", refusing)
        notes.put(Note(other, "live"))
        notes.put(Note(version, "live"))
        notes.flush()
    assert tags_of(registry, version)["state"] == "live"
    assert "you may not" in caplog.text


def test_what_people_read(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "admitting")
    assert words(registry, version) == "being checked since NOW"
    say("a", version, "admitting", "S3 is down")
    assert words(registry, version) == "being checked since NOW: S3 is down"
    say("a", version, "live", runs="onnx")
    assert words(registry, version) == "live since NOW on 1 replica, as onnx"
    say("b", version, "live", "unsigned", runs="native")
    assert words(registry, version) == "live since NOW on 2 replicas, as native and onnx; unsigned"
    say("a", version, "retired", "replaced by gas/2")
    say("b", version, "retired", "replaced by gas/2")
    assert words(registry, version) == "retired NOW: replaced by gas/2"
    say("a", version, "refused", "pickle: log it with skops")
    assert words(registry, version) == "refused NOW: pickle: log it with skops"
    keys = sorted(tag.key for tag in registry.version(version.name, "1").tags)
    shown = [key for key in keys if not key.startswith("mlflow.")]
    assert shown[0] == "ascenso"
    assert not [key for key in shown if "replica." in key]


def test_without_the_registry_notes_wait(server: Server, registry: Registry, opened: Open) -> None:
    with gated(server.url) as gate, reading(gate.url) as distant:
        notes = opened(distant)
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
        assert tags_of(registry, version) == {"state": "live", "replicas": "1"}


def test_a_version_that_left_holds_up_nobody(
    registry: Registry, version: Version, opened: Open
) -> None:
    notes = opened(registry)
    notes.put(Note(version, "live"))
    notes.put(Note(Version("never-there", "1"), "live"))
    notes.flush()
    assert tags_of(registry, version)["state"] == "live"
    notes.put(Note(version, "retired", "replaced"))
    notes.flush()
    assert tags_of(registry, version)["state"] == "retired"


def test_many_threads_flush_at_once(registry: Registry, opened: Open) -> None:
    notes = opened(registry)
    versions = [created(registry, f"flushed-{number}") for number in range(6)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for version in versions:
                notes.put(Note(version, "live"))
            for flushing in [pool.submit(notes.flush) for _ in range(4)]:
                flushing.result(180)
    for version in versions:
        assert tags_of(registry, version) == {"state": "live", "replicas": "1"}


def test_a_check_that_ends_soon_is_not_told_of(
    registry: Registry, version: Version, opened: Open
) -> None:
    notes = opened(registry, brief=3600)
    notes.put(Note(version, "admitting"))
    notes.flush()
    assert tags_of(registry, version) == {}
    notes.put(Note(version, "admitting", "S3 is down"))  # that may take long
    notes.flush()
    assert tags_of(registry, version)["reason"] == "S3 is down"
    notes.put(Note(version, "live"))
    notes.flush()
    assert tags_of(registry, version)["state"] == "live"


def test_replicas_of_one_home_do_not_write_the_same_twice(
    registry: Registry, version: Version, opened: Open
) -> None:
    def counting(version: Version, key: str, value: str) -> None:
        written.append(key)
        write(version, key, value)

    written: list[str] = []
    write = registry.set_tag
    several = [opened(registry, name) for name in "abcd"]
    for notes in several:
        notes.put(Note(version, "live"))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as threads:
        patch.setattr(registry, "set_tag", counting)
        list(threads.map(lambda notes: notes.flush(), several))
    assert tags_of(registry, version) == {"state": "live", "replicas": "4"}
    assert [written.count(key) for key in ("serving.state", "serving.since")] == [1, 1]
