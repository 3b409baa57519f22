"""The traffic of the last day, of all processes of a machine, in a file that does not grow.

A span is a ring of places. A process adds what it counted to the place of the present; what lies
there from the turn before is thrown away.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bentos.database import opened
from bentos.web.console.counts import Counts

PATIENCE_SECONDS = 5.0  # for other processes
SCHEMA = """
CREATE TABLE traffic (
    name TEXT NOT NULL, span INTEGER NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL,
    counts BLOB NOT NULL, PRIMARY KEY (name, span, place)
) WITHOUT ROWID;
"""
FOUND = "SELECT counts FROM traffic WHERE name = ? AND span = ? AND place = ? AND at = ?"
WRITE = "INSERT OR REPLACE INTO traffic VALUES (?, ?, ?, ?, ?)"
READ = "SELECT name, at, counts FROM traffic WHERE span = ? AND at > ? AND (name = ? OR ? = '')"
FORGET = "DELETE FROM traffic WHERE at < ?"


class Span(NamedTuple):
    """So many places of so many seconds each."""

    seconds: int
    places: int

    def start(self, time: float) -> int:
        """When the place of a time begins, in seconds since 1970."""
        return int(time) // self.seconds * self.seconds

    def starts(self, now: float) -> range:
        """When its places begin; the last one is that of the present."""
        last = self.start(now)
        return range(last - (self.places - 1) * self.seconds, last + 1, self.seconds)


MINUTES = Span(5, 60)
HOUR = Span(60, 60)
DAY = Span(900, 96)
SPANS = (MINUTES, HOUR, DAY)


class Ring:
    """The counts by name. Usable from several threads and processes. Raises sqlite3.Error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        opened(path, SCHEMA, PATIENCE_SECONDS).close()

    def add(self, now: float, counted: Mapping[str, Counts]) -> None:
        """Add what was counted just now, in one transaction; forget models of days before."""
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            for name, counts in counted.items():
                for span in SPANS:
                    _add(db, name, span, span.start(now), counts)
            db.execute(FORGET, (DAY.starts(now)[0],))

    def read(self, span: Span, now: float, name: str = "") -> dict[str, list[Counts]]:
        """The counts of a span by name, or of one name, the oldest first."""
        starts = span.starts(now)
        found: dict[str, list[Counts]] = {name: _nothing(span)} if name else {}
        with self._open() as db:
            rows = db.execute(READ, (span.seconds, starts[0] - 1, name, name)).fetchall()
        for one, at, counts in rows:
            if at in starts:
                places = found.setdefault(one, _nothing(span))
                places[starts.index(at)] = msgspec.msgpack.decode(counts, type=Counts)
        return found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            yield db
            if db.in_transaction:
                db.execute("COMMIT")
        finally:
            db.close()  # what was begun and not committed is undone


def _add(db: sqlite3.Connection, name: str, span: Span, start: int, counts: Counts) -> None:
    key = (name, span.seconds, start // span.seconds % span.places, start)
    found = db.execute(FOUND, key).fetchone()
    if found:
        counts = counts.plus(msgspec.msgpack.decode(found[0], type=Counts))
    db.execute(WRITE, (*key, msgspec.msgpack.encode(counts)))


def _nothing(span: Span) -> list[Counts]:
    return [Counts() for _ in range(span.places)]
