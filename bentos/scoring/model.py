"""The version that scores: found in the registry, admitted as a service admits it."""

from fnmatch import fnmatchcase

from bentos.admission.cache import Artifacts
from bentos.admission.columns import admit_by_schema
from bentos.admission.judge import admit
from bentos.flavors.mlmodel import MLmodel
from bentos.promotion.channel import lack, resolve
from bentos.registry.client import Registry, Version
from bentos.registry.digests import signed
from bentos.registry.sources import open_source
from bentos.scoring.rows import Columns, contract
from bentos.scoring.schemas import SchemaColumns
from bentos.scoring.tables import Unfit
from bentos.serving.release import Release
from bentos.settings import Settings


def promoted(registry: Registry, model: str, settings: Settings) -> Version:
    """The version in the model's channel. Raises Unfit when there is none."""
    known, channel = registry.models(), settings.channel(model)
    if model not in known:
        raise Unfit(f"the registry at {registry.uri} has no {model!r}, only {sorted(known)}")
    target = resolve(known[model], channel, lambda: registry.versions(model)).target
    if target is None:
        raise Unfit(f"{lack(channel, model)}: promote one, or give --version")
    return registry.version(model, target)


def admitted(
    registry: Registry, version: Version, settings: Settings, keep: tuple[str, ...] = ()
) -> tuple[Release, Columns | SchemaColumns]:
    """The version as it would serve, and the columns that it takes from a table and adds to it.

    It is fetched to the disk of this machine unless it is there. Raises Refusal where a service
    would refuse it, Unfit where its columns cannot be those of a table.
    """
    artifacts = Artifacts(settings.home / "cache", settings.cache)
    version = signed(registry, version)
    uri = registry.artifact_uri(version)
    folder = artifacts.fetch(version, open_source(registry, settings.registry, uri))
    compiled, name = artifacts.compiled(version), version.name
    if any(fnmatchcase(name, pattern) for pattern in settings.models.exclude):
        release = admit(version, folder, contract(name), settings.admission, compiled)
        return release, Columns.of(MLmodel(folder), keep)
    release = admit_by_schema(version, folder, settings.admission, compiled)
    return release, SchemaColumns.of(release, keep)
