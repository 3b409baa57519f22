"""The geometry of the charts, in units of their view box; the templates draw them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bentos.promotion.event import Event
from bentos.web.console import words
from bentos.web.console.counts import Counts

WIDTH, HEIGHT = 600.0, 120.0
STEP, MARGIN = 36.0, 24.0  # of the timeline
MOST_EVENTS = 40
TRIED = "tried"  # what an event of a challenger is, too
SERVES = ("swap", "rollback", "restore", "withdrawal")


@dataclass(frozen=True)
class Box:
    """A rectangle; `tip` is what it says under the mouse."""

    x: float
    y: float
    width: float
    height: float
    tip: str = ""


@dataclass(frozen=True)
class Chart:
    """Calls and errors as bars, p50 and p99 as lines, each up to its highest value."""

    calls: Sequence[Box]
    errors: Sequence[Box]
    p50: Sequence[str]
    p99: Sequence[str]
    most: str
    slowest: str
    total: str


def traffic(places: Sequence[Counts], unit: str) -> Chart:
    """The chart of a ring; `unit` says how long a place is."""
    calls = [one.calls for one in places]
    fast = [one.quantile(0.5) for one in places]
    slow = [one.quantile(0.99) for one in places]
    most = max(calls, default=0)
    slowest = max((value for value in slow if value is not None), default=0.0)
    tips = [f"{words.number(one)} calls in {unit}" for one in calls]
    return Chart(
        bars(calls, most, tips),
        bars([one.errors for one in places], most, ["errors"] * len(places)),
        lines(fast, slowest),
        lines(slow, slowest),
        words.number(most),
        words.milliseconds(slowest or None),
        words.number(sum(calls)),
    )


def bars(values: Sequence[float], most: float, tips: Sequence[str]) -> list[Box]:
    """A bar for each value that is not 0."""
    width = WIDTH / max(1, len(values))
    return [
        Box(
            round(place * width, 1),
            round(HEIGHT - height, 1),
            round(0.85 * width, 1),
            round(height, 1),
            tip,
        )
        for place, (value, tip) in enumerate(zip(values, tips, strict=True))
        if value and (height := max(1.0, HEIGHT * value / most))
    ]


def lines(values: Sequence[float | None], most: float) -> list[str]:
    """The points of a line, in pieces where values lack; of one point, a short stroke."""
    width = WIDTH / max(1, len(values))
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            pieces.append([])
            continue
        y = round(HEIGHT - 2 - (HEIGHT - 4) * value / most, 1)
        if not pieces[-1]:
            pieces[-1].append(f"{place * width:.1f},{y}")
        pieces[-1].append(f"{(place + 0.85) * width:.1f},{y}")
    return [" ".join(piece) for piece in pieces if piece]


@dataclass(frozen=True)
class Mark:
    """An event of the timeline."""

    x: float
    y: float
    what: str
    version: str
    tip: str


@dataclass(frozen=True)
class Timeline:
    """Events from left to right, newer versions higher; `path` is what served."""

    width: float
    height: float
    marks: Sequence[Mark]
    path: str
    levels: Sequence[tuple[float, str]]


def timeline(events: Sequence[Event], channel: str) -> Timeline:
    """The latest events, the oldest first, each a step to the right.

    Those of another channel than this one are of the challenger.
    """
    shown = [event for event in events if event.version][-MOST_EVENTS:]
    versions = sorted({event.version for event in shown}, key=_number)
    height = 2 * MARGIN + 22.0 * max(0, len(versions) - 1)
    levels = {version: height - MARGIN - 22.0 * n for n, version in enumerate(versions)}
    marks = [
        Mark(
            MARGIN + 24 + STEP * n,
            levels[one.version],
            one.what if one.channel == channel else f"{one.what} {TRIED}",
            one.version,
            _tip(one),
        )
        for n, one in enumerate(shown)
    ]
    width = max(WIDTH, 2 * MARGIN + 24 + STEP * len(marks))
    named = [(y, version) for version, y in levels.items()]
    return Timeline(width, height, marks, _path(marks, width), named)


def _path(marks: Sequence[Mark], width: float) -> str:
    """Steps along what served; up to the right edge if it still does."""
    parts: list[str] = []
    serves = False
    for mark in marks:
        if mark.what in SERVES:
            parts.append(f"H{mark.x:g} V{mark.y:g}" if serves else f"M{mark.x:g},{mark.y:g}")
            serves = True
        elif mark.what == "vacated" and serves:
            parts.append(f"H{mark.x:g}")
            serves = False
    return " ".join([*parts, f"H{width - 4:g}"] if serves else parts)


def _tip(event: Event) -> str:
    who = f" by {event.who}" if event.who else ""
    what = words.WHAT.get(event.what, event.what)
    return f"{words.moment(event.at)}: version {event.version} {what}{who}: {event.why}"


def _number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdecimal() else 0), version
