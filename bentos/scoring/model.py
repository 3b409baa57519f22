"""The version that scores: found in the registry, admitted as a service admits it."""

from bentos.admission.cache import Artifacts
from bentos.admission.judge import admit
from bentos.flavors.mlmodel import MLmodel
from bentos.promotion.channel import lack, resolve
from bentos.registry.client import Registry, Version
from bentos.registry.digests import signed
from bentos.registry.sources import open_source
from bentos.scoring.rows import contract
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


def admitted(registry: Registry, version: Version, settings: Settings) -> tuple[Release, MLmodel]:
    """The version as it would serve, and what it says of itself.

    It is fetched to the disk of this machine unless it is there. Raises Refusal where a service
    would refuse it.
    """
    artifacts = Artifacts(settings.home / "cache", settings.cache)
    version = signed(registry, version)
    uri = registry.artifact_uri(version)
    folder = artifacts.fetch(version, open_source(registry, settings.registry, uri))
    release = admit(
        version, folder, contract(version.name), settings.admission, artifacts.compiled(version)
    )
    return release, MLmodel(folder)
