"""What stands on a version in the registry."""

import re
from collections.abc import Callable

from bentos.promotion.notes import Notes
from bentos.registry.client import Registry, Version
from bentos.registry.tags import REASON_TAG, REPLICAS_TAG, STATE_TAG

Say = Callable[..., None]
Open = Callable[..., Notes]


def tags_of(registry: Registry, version: Version) -> dict[str, str]:
    """What scripts read of a version, less the times."""
    tags = registry.version(version.name, version.version).tags
    keys = (STATE_TAG, REASON_TAG, REPLICAS_TAG)
    return {tag.key.removeprefix("serving."): tag.value for tag in tags if tag.key in keys}


def words(registry: Registry, version: Version) -> str:
    """What people read, with the present moment as NOW."""
    said = registry.version(version.name, version.version).tag("ascenso")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "NOW", said)


def see(registry: Registry, version: Version, notes: Notes, *followed: str) -> None:
    """A look, and what comes of it."""
    notes.see(registry.models(prefix=version.name), followed)
    notes.flush()


def created(registry: Registry, name: str) -> Version:
    """The next version of a model."""
    registry.http.post("mlflow/registered-models/create", json={"name": name})
    body = {"name": name, "source": "s3://models/nowhere"}
    made = registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    return registry.version(name, made.json()["model_version"]["version"])
