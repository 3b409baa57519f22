import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentos.promotion import replicas
from bentos.promotion.ledger import stamp
from bentos.promotion.notes import Note, Notes
from bentos.promotion.replicas import ReplicaLocks, records
from bentos.promotion.tag_writer import TagWriter
from bentos.registry.client import CallFailed, Registry, RegistryUnavailable, Version
from bentos.registry.tags import (
    REASON_TAG,
    RECORD_TAG,
    REPLICAS_TAG,
    STATE_TAG,
    State,
    is_foreign,
)
from mlflow import MlflowClient
from tests.serving.gate import gated
from tests.serving.servers import Server, reading
from tests.serving.versions import Shelf

Say = Callable[..., None]
OF_AN_OLDER_RELEASE = {
    "ascenso": "live since 2025-11-30 10:47 UTC on 1 replica",
    "ascenso.promoted_by": "ana, stage Production, {}",
    "serving.replica.host-1": "{}",
    "serving.replicas": "1",
    "serving.since": "{}",
    "serving.state": "live",
}
Open = Callable[..., Notes]


@pytest.fixture
def version(shelf: Shelf) -> Version:
    """A version that needs no files."""
    return created(shelf.registry, shelf.name)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """The notes of a replica of one home."""

    def notes(registry: Registry, replica: str = "", alias: str = "live") -> Notes:
        return Notes(
            registry, ReplicaLocks(tmp_path, replica), TagWriter(registry, lambda model: alias)
        )

    return notes


@pytest.fixture
def say(registry: Registry, opened: Open) -> Say:
    """Several replicas: each with notes of its own, writing under its own name."""
    replicas: dict[str, Notes] = {}

    def said(
        replica: str,
        version: Version,
        state: State | None,
        reason: str = "",
        runs: str = "",
        channel: str = "stage Production",
    ) -> None:
        notes = replicas[replica] if replica in replicas else opened(registry, replica)
        replicas[replica] = notes
        if state is None:
            notes.close()
            return
        notes.put(Note(version, state, reason, channel, runs))
        notes.flush()

    return said


def tags_of(registry: Registry, version: Version) -> dict[str, str]:
    """What scripts read of a version, less the times."""
    tags = registry.version(version.name, version.version).tags
    keys = (STATE_TAG, REASON_TAG, REPLICAS_TAG)
    return {tag.key.removeprefix("serving."): tag.value for tag in tags if tag.key in keys}


def words(registry: Registry, version: Version) -> str:
    """What people read, with the present moment as NOW."""
    said = registry.version(version.name, version.version).tag("ascenso")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "NOW", said)


def record(registry: Registry, version: Version, replica: str, at: str) -> None:
    """Say that some process serves a version, or said so once."""
    value = f'{{"at": "{at}", "said": {{"{version.version}": {{"state": "live"}}}}}}'
    registry.set_model_tag(version.name, RECORD_TAG + replica, value)


def recorded(registry: Registry, version: Version) -> set[str]:
    return set(records(registry.model(version.name)))


def see(registry: Registry, version: Version, notes: Notes, *followed: str) -> None:
    """A look, and what comes of it."""
    notes.see(registry.models(prefix=version.name), followed)
    notes.flush()


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


def test_several_replicas(registry: Registry, version: Version, say: Say) -> None:
    for replica in "abc":
        say(replica, version, "live")
    assert tags_of(registry, version) == {"state": "live", "replicas": "3"}
    say("a", version, "retired", "replaced by gas/2")
    now = tags_of(registry, version)
    assert (now["state"], now["replicas"]) == ("live", "2")
    say("b", version, None)  # it stops
    assert tags_of(registry, version)["replicas"] == "1"
    say("c", version, "retired", "replaced by gas/2")
    now = tags_of(registry, version)
    assert (now["state"], now["replicas"]) == ("retired", "0")


def test_the_last_replica_stops(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "live")
    say("a", version, None)
    assert tags_of(registry, version) == {"state": "stopped", "replicas": "0"}
    assert words(registry, version).startswith("stopped NOW: no replica runs")
    assert recorded(registry, version) == set()


def test_two_channels_of_one_process(registry: Registry, version: Version, say: Say) -> None:
    say("a", version, "challenger", channel="alias challenger")
    assert tags_of(registry, version) == {"state": "challenger", "replicas": "0"}
    say("a", version, "live")
    say("a", version, "retired", "no challenger", channel="alias challenger")
    assert tags_of(registry, version)["state"] == "live"


def test_a_restarted_replica_rights_what_its_machine_said(
    registry: Registry, version: Version, opened: Open, tmp_path: Path
) -> None:
    """Killed amid a promotion: the record names the new version, the tags still the old one."""
    second = created(registry, version.name)
    before = opened(registry, "before")
    before.put(Note(version, "live", channel="stage Production"))
    before.flush()
    before.put(Note(second, "live", channel="stage Production"))
    before.put(Note(version, "retired", "replaced", channel="stage Production"))
    before._record(version.name)
    before._locks._lock.release()  # as the kernel does
    after = opened(registry, "after")
    after.put(Note(second, "live", channel="stage Production"))
    see(registry, version, after, version.name)
    assert recorded(registry, version) == {"after"}
    assert tags_of(registry, version)["state"] == "retired"
    assert words(registry, version) == f"retired NOW: replaced by {second}"
    assert tags_of(registry, second) == {"state": "live", "replicas": "1"}
    see(registry, version, after, version.name)
    assert [path.name for path in tmp_path.iterdir()] == ["after"]


def test_what_a_killed_replica_served_last_is_said_to_have_stopped(
    registry: Registry, version: Version, opened: Open
) -> None:
    other = created(registry, version.name)
    before = opened(registry, "before")
    before.put(Note(version, "live", channel="stage Production"))
    before.put(Note(other, "admitting", channel="stage Production"))
    before.flush()
    before._locks._lock.release()
    see(registry, version, opened(registry, "after"))  # a neighbour that follows another model
    assert tags_of(registry, version) == {"state": "stopped", "replicas": "0"}
    assert words(registry, other) == "retired NOW: no replica goes on with it"


def test_a_copy_says_nothing_of_its_source(
    registry: Registry, version: Version, opened: Open
) -> None:
    notes = opened(registry)
    notes.put(Note(version, "live", channel="stage Production", runs="onnx"))
    notes.flush()
    copy = copied(registry, version, f"{version.name}-copy")
    assert tags_of(registry, copy)["state"] == "live", "MLflow copies tags"
    see(registry, version, notes, version.name)
    assert registry.version(copy.name, "1").tags == ()
    assert tags_of(registry, version)["state"] == "live"


def test_a_copy_that_serves_says_so_of_itself(
    registry: Registry, version: Version, opened: Open
) -> None:
    notes = opened(registry)
    notes.put(Note(version, "live", "unsigned", "stage Production"))
    notes.flush()
    since = registry.version(version.name, "1").tag("serving.since")
    copy = copied(registry, version, f"{version.name}-copy")
    notes.put(Note(copy, "live", channel="stage Production"))
    notes.flush()
    assert tags_of(registry, copy) == {"state": "live", "replicas": "1", "reason": ""}
    assert registry.version(copy.name, "1").tag("serving.since") > since
    assert not is_foreign(registry.version(copy.name, "1"))


@pytest.mark.parametrize("years", [1, 0])
def test_a_copy_of_what_an_older_release_wrote(
    registry: Registry, version: Version, opened: Open, years: int
) -> None:
    """Its tags named no owner. What is older than the version is of another one."""
    since = (datetime.now(UTC) - timedelta(days=365 * years)).isoformat()
    for key, value in OF_AN_OLDER_RELEASE.items():
        registry.set_tag(version, key, value.format(since))
    see(registry, version, opened(registry), version.name)
    tags = registry.version(version.name, "1").tags
    assert not tags if years else tags_of(registry, version)["state"] == "stopped"


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


def copied(registry: Registry, version: Version, name: str) -> Version:
    """A copy as MLflow's button "Promote model" makes it."""
    MlflowClient(registry.uri).copy_model_version(f"models:/{version.name}/1", name)
    return registry.version(name, "1")


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


def test_replicas_that_stopped_telling_are_struck_off(
    registry: Registry, version: Version, say: Say
) -> None:
    long_ago = stamp(datetime.now(UTC) - replicas.STALE - timedelta(seconds=1))
    record(registry, version, "dead", long_ago)
    record(registry, version, "odd", "yesterday")
    record(registry, version, "naive", "2026-01-01T00:00:00")
    record(registry, version, "alive", stamp(datetime.now(UTC) - replicas.HEARTBEAT))
    say("a", version, "live")
    assert recorded(registry, version) == {"alive", "a"}
    assert tags_of(registry, version)["replicas"] == "2"


def test_what_is_live_is_noted_again(
    registry: Registry, version: Version, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = opened(registry, "a")
    notes.put(Note(version, "live"))
    notes.flush()
    first = records(registry.model(version.name))["a"].at
    notes.flush()
    assert records(registry.model(version.name))["a"].at == first
    monkeypatch.setattr(replicas, "HEARTBEAT", timedelta(0))
    notes.flush()
    assert records(registry.model(version.name))["a"].at > first


def test_one_record_tells_for_all_that_a_replica_lives(
    registry: Registry, version: Version, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = created(registry, f"{version.name}-other")
    notes = opened(registry, "a")
    for one in (version, other):
        notes.put(Note(one, "live"))
    notes.flush()
    long_ago = stamp(datetime.now(UTC) - replicas.STALE - timedelta(seconds=1))
    for one in (version, other):
        record(registry, one, "a", long_ago)
    monkeypatch.setattr(replicas, "HEARTBEAT", timedelta(0))
    notes.flush()
    times = [records(registry.model(one.name))["a"].at for one in (version, other)]
    assert times[0] > times[1] == long_ago
    monkeypatch.undo()
    neighbour = opened(registry, "b")  # which follows the other model alone
    neighbour.see({other.name: registry.model(other.name)}, [other.name], whole=False)
    neighbour.flush()
    assert recorded(registry, other) == {"a"}
    assert tags_of(registry, other) == {"state": "live", "replicas": "1"}


def test_a_record_that_somebody_removed_is_written_again(
    registry: Registry, version: Version, opened: Open
) -> None:
    notes = opened(registry, "a")
    notes.put(Note(version, "live"))
    notes.flush()
    registry.delete_model_tag(version.name, f"{RECORD_TAG}a")
    see(registry, version, notes, version.name)
    assert recorded(registry, version) == {"a"}


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


def created(registry: Registry, name: str) -> Version:
    """The next version of a model."""
    registry.http.post("mlflow/registered-models/create", json={"name": name})
    body = {"name": name, "source": "s3://models/nowhere"}
    made = registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    return registry.version(name, made.json()["model_version"]["version"])


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
