"""Who promoted a version, as far as it is known: a command says so, a click in MLflow does not.

MLflow keeps no record of who moved a stage or an alias, only when a stage was last moved.
So the command leaves a tag with its user, the channel, and that very time: the tag counts for this
move and for no other. Of an alias MLflow keeps no time; there the tag counts for some minutes.
"""

from datetime import UTC, datetime, timedelta

from bentos.registry.tags import PROMOTED_BY_TAG
from bentos.settings import Channel
from bentos.version import Version

SOON = timedelta(minutes=5)  # for a promotion to become a line of the history
PENDING = "pending"  # what stands for the time while the command moves the version


def said(user: str, channel: Channel, at: datetime | None = None) -> str:
    """What the tag says: `ana, stage Production, 2026-03-01T12:00:00.123+00:00`."""
    time = at.astimezone(UTC).isoformat(timespec="milliseconds") if at else PENDING
    return f"{user}, {channel}, {time}"


def promoter(version: Version, channel: Channel, now: datetime) -> str:
    """Who promoted a version to a channel, or nothing where that is not known."""
    for name in (str(channel), *(f"alias {alias}" for alias in channel.aliases)):
        user, found, time = version.tag(PROMOTED_BY_TAG).rpartition(f", {name}, ")
        if found and _counts(time, version, now, by_alias=name.startswith("alias ")):
            return user
    return ""


def when(version: Version) -> datetime | None:
    """When the command moved a version, where it says so."""
    return _time(version.tag(PROMOTED_BY_TAG).rpartition(", ")[2])


def is_copied(version: Version) -> bool:
    """Whether a version came with the tag of another one: from before there was this one."""
    at = when(version)
    return at is not None and at < moment(version.creation_timestamp)


def moment(milliseconds: int) -> datetime:
    """A time of the registry."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)


def _counts(time: str, version: Version, now: datetime, by_alias: bool) -> bool:
    moves = [moment(version.last_updated_timestamp), moment(version.creation_timestamp)]
    if time == PENDING:
        return now - max(moves) <= SOON
    at = _time(time)
    return at is not None and (abs(now - at) <= SOON if by_alias else at in moves)


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None
