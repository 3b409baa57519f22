"""Notes that several replicas write, of which some end."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentos.promotion import replicas
from bentos.promotion.ledger import stamp
from bentos.promotion.notes import Note
from bentos.promotion.replicas import records
from bentos.registry.client import Registry, Version
from bentos.registry.tags import RECORD_TAG
from tests.serving.notes.written import Open, Say, created, see, tags_of, words


def record(registry: Registry, version: Version, replica: str, at: str) -> None:
    """Say that some process serves a version, or said so once."""
    value = f'{{"at": "{at}", "said": {{"{version.version}": {{"state": "live"}}}}}}'
    registry.set_model_tag(version.name, RECORD_TAG + replica, value)


def recorded(registry: Registry, version: Version) -> set[str]:
    return set(records(registry.model(version.name)))


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
    assert [path.name for path in (tmp_path / "replicas").iterdir()] == ["after"]


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
