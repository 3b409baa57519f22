"""The version that scores: found in the registry, admitted as a service admits it."""

from contextlib import closing
from fnmatch import fnmatchcase

from bentos.admission.cache import Artifacts
from bentos.admission.office import Office
from bentos.flavors.mlmodel import MLmodel
from bentos.promotion.channel import lack, resolve
from bentos.promotion.release_store import ReleaseStore
from bentos.registry.client import Registry, Version
from bentos.registry.digests import signed
from bentos.scoring.rows import Columns, contract
from bentos.scoring.schemas import SchemaColumns
from bentos.scoring.tables import Unfit
from bentos.serving.budget import Budget
from bentos.serving.release import Contract, Release
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
    name = version.name
    with closing(Office()) as office:
        store = ReleaseStore(registry, artifacts, settings, Budget(settings.open_bytes), office)
        if any(fnmatchcase(name, pattern) for pattern in settings.models.exclude):
            release = store.admit(contract(name), version)
            return release, Columns.of(MLmodel(store.fetched(version)), keep)
        release = store.admit(Contract(None, None, by_schema=True), version)
        return release, SchemaColumns.of(release, keep)
