"""Which version a channel points to, and how it is pointed to another: said here and nowhere else.

An alias names its version. The newest version is the one with the highest number that nobody
archived. A stage may hold several: the mouse leaves the old one in Production
unless "archive existing" is ticked, and then MLflow reports the highest number, not the one that
was promoted last. What tells them apart: a transition writes one and the same timestamp to the
version and to its registered model, while an edit of a description touches only one of the two
(`SqlAlchemyStore.transition_model_version_stage`, `update_model_version`).
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from bentos.promotion.promoter import moment, said
from bentos.registry.client import (
    Model,
    NotInRegistry,
    Registry,
    RegistryUnavailable,
    Version,
)
from bentos.registry.tags import PROMOTED_BY_TAG, SINCE_TAG, is_ours, owner, state
from bentos.settings import Channel

BY_ALIAS = -1  # no model has this timestamp: once the alias is gone, the stage is looked up


class Promotions(msgspec.Struct, frozen=True):
    """The versions that a channel holds, in order of their promotion; the last one serves."""

    model_timestamp: int
    order: tuple[str, ...]

    @property
    def target(self) -> str | None:
        """The version that the channel points to."""
        return self.order[-1] if self.order else None


def resolve(
    model: Model,
    channel: Channel,
    versions: Callable[[], Sequence[Version]],
    before: Promotions | None = None,
) -> Promotions:
    """Where the channel points now; `before` is what the last look saw.

    `versions` asks the registry for all versions of the model; it is called only when something
    in the stage may have changed.
    """
    now = model.last_updated_timestamp
    for alias in channel.aliases:
        if target := model.alias(alias):
            return Promotions(BY_ALIAS, (target,))
    if channel.stage is None:
        target = model.alias(channel.alias) if channel.alias else _newest(model)
        return Promotions(now, (target,) if target else ())
    if before and before.model_timestamp == now:
        return before
    holding = [version for version in versions() if version.stage == channel.stage]
    return Promotions(now, _order(now, holding, before.order if before else ()))


def served_last(versions: Sequence[Version], channel: Channel) -> list[Version]:
    """What serves in a channel by the registry's tags, or served last; the latest first."""
    found = [
        version
        for version in versions
        if state(version) in ("live", "stopped") and _channel(version) in ("", str(channel))
    ]
    return sorted(found, key=lambda version: version.tag(SINCE_TAG), reverse=True)


def point(
    registry: Registry, version: Version, channel: Channel, user: str, model_name: str = ""
) -> Version:
    """Let a channel point to a version, which notes that `user` did so; give where it points then.

    In a stage, the versions that it replaces are archived. A version that is not the newest
    becomes so as a copy of itself. The channel of another model gets a copy, too.
    """
    if model_name not in ("", version.name):
        version = _copy(registry, version, model_name, channel, user)
    model = registry.model(version.name)
    aliases = [alias for alias in (channel.alias, *channel.aliases) if alias]
    known = [alias for alias in aliases if alias == channel.alias or model.alias(alias)]
    if channel.newest and not known and _newest(model) != version.version:
        return _copy(registry, version, version.name, channel, user)
    moves = bool(channel.stage) or any(model.alias(a) != version.version for a in known)
    if moves or channel.newest:
        _move(registry, version, channel, known, user)
    return version


def cause(channel: Channel, seen: Promotions | None) -> str:
    """Why a version is to serve, in words."""
    if seen and seen.model_timestamp == BY_ALIAS:
        return f"the alias {' or '.join(channel.aliases)} points to it"
    return "it is the newest version" if channel.newest else f"the {channel} points to it"


def lack(channel: Channel, model: str) -> str:
    """Why no version of a model is to serve, in words."""
    return (
        f"{model} has no version"
        if channel.newest
        else f"no version of {model} holds the {channel}"
    )


def _copy(registry: Registry, version: Version, name: str, channel: Channel, user: str) -> Version:
    by = {PROMOTED_BY_TAG: said(user, channel)}
    tags = {tag.key: tag.value for tag in version.tags if not is_ours(tag.key)} | by
    made = registry.copy(version, name, tags)
    at = moment(made.creation_timestamp)
    registry.set_tag(made, PROMOTED_BY_TAG, said(user, channel, at))
    return made


def _move(
    registry: Registry, version: Version, channel: Channel, aliases: Sequence[str], user: str
) -> None:
    """Move stage and aliases, and say who did; where that fails, nobody did."""
    before = None if channel.stage else datetime.now(UTC)
    registry.set_tag(version, PROMOTED_BY_TAG, said(user, channel, before))
    try:
        moved = version
        if channel.stage:
            moved = registry.promote(version.name, version.version, channel.stage)
        for alias in aliases:
            registry.set_alias(version.name, version.version, alias)
    except (NotInRegistry, RegistryUnavailable):
        with suppress(NotInRegistry, RegistryUnavailable):
            registry.delete_tag(version, PROMOTED_BY_TAG)
        raise
    if channel.stage:
        at = moment(moved.last_updated_timestamp)
        registry.set_tag(version, PROMOTED_BY_TAG, said(user, channel, at))


def _newest(model: Model) -> str | None:
    numbers = [version.number for version in model.latest_versions if version.stage != "Archived"]
    return str(max(numbers)) if numbers else None


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
