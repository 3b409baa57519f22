"""Who promoted a version, as far as it is known: a command says so, a click in MLflow does not.

MLflow keeps no record of who moved a stage or an alias. So the command leaves a tag with its user,
the time and the channel, and the tag counts for that promotion only.
"""

from datetime import UTC, datetime, timedelta

from bentos.registry.client import Version
from bentos.registry.tags import PROMOTED_BY_TAG

SOON = timedelta(minutes=5)  # for a promotion to become a line of the history
APART = timedelta(minutes=1)  # of the clocks of a command and of MLflow


def said(user: str, channel: str, at: datetime) -> str:
    """What the tag says: `ana, stage Production, 2026-03-01T12:00:00+00:00`."""
    return f"{user}, {channel}, {at.astimezone(UTC).isoformat(timespec='seconds')}"


def promoter(version: Version, channel: str, now: datetime) -> str:
    """Who promoted a version to a channel just now, or nothing where that is not known.

    MLflow notes when a version's stage was last moved: a tag from another time is of another move.
    """
    user, _, rest = version.tag(PROMOTED_BY_TAG).rpartition(f", {channel}, ")
    try:
        at = datetime.fromisoformat(rest)
        moved = datetime.fromtimestamp(version.last_updated_timestamp / 1000, UTC)
        is_stale = channel.startswith("stage ") and abs(moved - at) > APART
        return "" if is_stale or abs(now - at) > SOON else user
    except (TypeError, ValueError, OverflowError):  # no tag of this kind
        return ""
