"""Notes on versions that were copied from others."""

from datetime import UTC, datetime, timedelta

import pytest

from bentos.promotion.notes import Note
from bentos.registry.client import Registry, Version
from bentos.registry.tags import is_foreign
from mlflow import MlflowClient
from tests.serving.notes.written import Open, see, tags_of

OF_AN_OLDER_RELEASE = {
    "ascenso": "live since 2025-11-30 10:47 UTC on 1 replica",
    "ascenso.promoted_by": "ana, stage Production, {}",
    "serving.replica.host-1": "{}",
    "serving.replicas": "1",
    "serving.since": "{}",
    "serving.state": "live",
}


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


def copied(registry: Registry, version: Version, name: str) -> Version:
    """A copy as MLflow's button "Promote model" makes it."""
    MlflowClient(registry.uri).copy_model_version(f"models:/{version.name}/1", name)
    return registry.version(name, "1")
