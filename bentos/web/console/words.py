"""How numbers, times and outcomes are written for people."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bentos.registry.address import without_password
from bentos.serving.release import Runs
from bentos.serving.slot import Slot
from bentos.settings import Settings
from bentos.version import Version

RUNS: Mapping[Runs, str] = {
    "native": "as native",
    "onnx": "as onnx",
    "runner": "in a process with releases of its own",
    "isolated": "in a process of its own, isolated",
}
WHAT = {
    "swap": "promoted",
    "rollback": "rolled back",
    "refusal": "refused",
    "restore": "restored",
    "withdrawal": "back after a withdrawal",
    "vacated": "left",
    "share": "share set",
    "reload": "looked anew",
}
NOTHING = "\N{EN DASH}"  # where nothing was counted
BYTES = ("B", "kB", "MB", "GB")
AGES = ((86_400, "d"), (3600, "h"), (60, "min"))


def said(slot: Slot[Any, Any]) -> str:
    """What serves, or why nothing does."""
    words = []
    if slot.live:
        since = slot.live.since.isoformat(timespec="seconds")
        words.append(f"version {slot.live.version.version} is live since {since}")
    if slot.candidate:
        words.append(f"version {slot.candidate.version} is being checked")
    if slot.refused:
        refused = slot.refused
        words.append(f"version {refused.version} was refused: {refused.reason}: {refused.message}")
    if slot.trouble:
        words.append(slot.trouble)
    return "; ".join(words) or "nothing serves yet"


def number(value: float | None) -> str:
    """Three digits of a number, or a dash."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def milliseconds(seconds: float | None) -> str:
    """A time as milliseconds."""
    return NOTHING if seconds is None else f"{number(1000 * seconds)} ms"


def share(value: float | None) -> str:
    """A share as percent."""
    return NOTHING if value is None else f"{100 * value:.3g} %"


def size(count: float | None) -> str:
    """Bytes, by a thousand."""
    if count is None:
        return NOTHING
    for unit in BYTES[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {BYTES[-1]}"


def moment(time: datetime | str) -> str:
    """A time to the second, in UTC."""
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(time: datetime | str) -> str:
    """How long ago a time is, roughly."""
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    seconds = (datetime.now(UTC) - at).total_seconds()
    for unit, name in AGES:
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return "moments"


def in_mlflow(settings: Settings, version: Version) -> str:
    """Where a browser finds a version in MLflow; nothing where that has no web address."""
    address = settings.registry.ui or without_password(settings.tracking_uri)
    if not address.startswith(("http://", "https://")):
        return ""
    place = f"{quote(version.name, safe='')}/versions/{quote(version.version, safe='')}"
    return f"{address.rstrip('/')}/#/models/{place}"
