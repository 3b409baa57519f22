"""What happened to a slot, as its history shows it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

IDLE = ("refusal", "share", "reload")  # events after which the same version serves
JOINED_SECONDS = 60.0  # between the lines of several processes about one event


class Event(msgspec.Struct, frozen=True):
    """One line of the history. `at` is ISO 8601 in UTC; `replica` is the process that wrote it."""

    at: str
    replica: str
    channel: str
    model: str
    version: str
    run_id: str
    digest: str
    what: str
    who: str
    why: str

    @property
    def seconds(self) -> float:
        """When it was, in seconds since 1970."""
        return datetime.fromisoformat(self.at).timestamp()


@dataclass
class _Group:
    """The lines of several processes about one event."""

    first: Event
    latest: float
    replicas: set[str] = field(default_factory=set)

    def add(self, earlier: Event) -> None:
        self.first = earlier
        self.replicas.add(earlier.replica)


def joined(lines: Iterable[Event], limit: int) -> list[Event]:
    """The latest `limit` events, each once, though each process of the machine wrote a line.

    Lines and events are newest first. An event is its earliest line. A process writes one line of
    an event, so its second line is another event, however soon it follows. It joins the event that
    is nearest to it: others may have a line less, of a process that had ended or not begun.
    """
    groups: list[_Group] = []
    alike: defaultdict[tuple[str, ...], list[_Group]] = defaultdict(list)
    for line in lines:
        key = (line.channel, line.what, line.version, line.why)
        alike[key] = [g for g in alike[key] if g.latest - line.seconds <= JOINED_SECONDS]
        nearest = reversed(alike[key])
        group = next((g for g in nearest if line.replica not in g.replicas), None)
        if group:
            group.add(line)
        elif len(groups) < limit:
            groups.append(_Group(line, line.seconds, {line.replica}))
            alike[key].append(groups[-1])
        elif groups[-1].latest - line.seconds > JOINED_SECONDS:
            break
    return sorted((group.first for group in groups), key=lambda event: event.at, reverse=True)
