"""The version that scores: found in the registry, admitted as a service admits it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
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
    version = signed(registry, version)
    wanted = contract_of(version.name, settings)
    with judging(registry, settings) as store:
        release = store.admit(wanted, version)
        if wanted.by_schema:
            return release, SchemaColumns.of(release, keep)
        return release, Columns.of(MLmodel(store.fetched(version)), keep)


def contract_of(model: str, settings: Settings) -> Contract:
    """What the service of a registered model asks of its versions."""
    if any(fnmatchcase(model, pattern) for pattern in settings.models.exclude):
        return contract(model)
    return Contract(None, None, by_schema=True)


@contextmanager
def judging(registry: Registry, settings: Settings) -> Iterator[ReleaseStore]:
    """The versions at hand on this machine, as the services have them."""
    artifacts = Artifacts(settings.home / "cache", settings.cache)
    with closing(Office()) as office:
        yield ReleaseStore(registry, artifacts, settings, Budget(settings.open_bytes), office)
