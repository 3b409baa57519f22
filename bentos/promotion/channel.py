"""Which version a channel points to.

An alias names its version. A stage may hold several: the mouse leaves the old one in Production
unless "archive existing" is ticked, and then MLflow reports the highest number, not the one that
was promoted last. What tells them apart: a transition writes one and the same timestamp to the
version and to its registered model, while an edit of a description touches only one of the two
(`SqlAlchemyStore.transition_model_version_stage`, `update_model_version`).
"""

from collections.abc import Callable, Sequence

import msgspec

from bentos.registry.client import Model, Registry, Version
from bentos.registry.tags import SINCE_TAG, owner, state
from bentos.settings import Channel

BY_ALIAS = -1  # no model has this timestamp: once the alias is gone, the stage is looked up


class Memory(msgspec.Struct, frozen=True):
    """What the last look saw: the versions in order of their promotion; the last one serves."""

    model_timestamp: int
    order: tuple[str, ...]


def look(
    model: Model,
    channel: Channel,
    memory: Memory | None,
    versions: Callable[[], Sequence[Version]],
) -> Memory:
    """The versions that the channel holds, the one to serve last.

    `versions` asks the registry for all versions of the model; it is called only when something
    in the stage may have changed.
    """
    for alias in channel.aliases:
        if target := model.alias(alias):
            return Memory(BY_ALIAS, (target,))
    if channel.alias:
        target = model.alias(channel.alias)
        return Memory(model.last_updated_timestamp, (target,) if target else ())
    if memory and memory.model_timestamp == model.last_updated_timestamp:
        return memory
    holding = [version for version in versions() if version.stage == channel.stage]
    order = _order(model.last_updated_timestamp, holding, memory.order if memory else ())
    return Memory(model.last_updated_timestamp, order)


def served_last(versions: Sequence[Version], channel: Channel) -> list[Version]:
    """What the registry says that serves in a channel, or did to the last; the latest first."""
    found = [
        version
        for version in versions
        if state(version) in ("live", "stopped") and _channel(version) in ("", str(channel))
    ]
    return sorted(found, key=lambda version: version.tag(SINCE_TAG), reverse=True)


def point(registry: Registry, version: Version, channel: Channel) -> None:
    """Let a channel point to a version. In a stage, those that it replaces are archived."""
    if channel.stage:
        registry.promote(version.name, version.version, channel.stage)
        model = registry.model(version.name)
        for alias in filter(model.alias, channel.aliases):  # which count more
            registry.set_alias(version.name, version.version, alias)
    elif channel.alias:
        registry.set_alias(version.name, version.version, channel.alias)


def _channel(version: Version) -> str:
    known = owner(version)
    return known.channel if known else ""


def _order(
    model_timestamp: int, holding: Sequence[Version], remembered: Sequence[str]
) -> tuple[str, ...]:
    """Versions by time of promotion, as far as the evidence goes."""
    by_number = {version.version: version for version in holding}
    order = [number for number in remembered if number in by_number]
    entered = [version for version in holding if version.version not in order]
    order += [version.version for version in sorted(entered, key=_evidence)]
    moved = [v.version for v in holding if v.last_updated_timestamp == model_timestamp]
    if len(moved) == 1:
        order.remove(moved[0])
        order += moved
    return tuple(order)


def _evidence(version: Version) -> tuple[bool, int, int]:
    """Among versions that nobody saw being promoted: one marked live, then the latest touched."""
    return state(version) == "live", version.last_updated_timestamp, version.number
