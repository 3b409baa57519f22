"""What served when, and who was refused why: one SQLite file a machine, shared by its processes.

It is written before a swap is shown anywhere, survives restarts, and does not depend on the
registry, which forgets deleted versions. Each process writes lines of its own.

Where a PostgreSQL is shared by all machines (`bentos.promotion.shared`), the file is where lines
wait until they are sent, and what all have sent is read.
"""

import logging
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

import msgspec

from bentos.database import opened
from bentos.promotion.channel import BY_ALIAS, Promotions
from bentos.promotion.event import IDLE, Event, joined
from bentos.promotion.findings import TABLES, Ask
from bentos.promotion.postgres import SharedAway
from bentos.promotion.shared import Shared
from bentos.registry.client import Version

log = logging.getLogger(__name__)

# "share" and "reload" are what somebody did in the console; they change no release.
What = Literal[
    "swap", "rollback", "refusal", "restore", "withdrawal", "vacated", "share", "reload"
]
REPLICA = f"{socket.gethostname()}-{os.getpid()}"
PATIENCE_SECONDS = 10.0  # for other processes
SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, replica TEXT NOT NULL, channel TEXT NOT NULL,
    model TEXT NOT NULL, version TEXT NOT NULL, run_id TEXT NOT NULL, digest TEXT NOT NULL,
    what TEXT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_by_model ON event (model, at);
CREATE TABLE IF NOT EXISTS memory (
    model TEXT NOT NULL, channel TEXT NOT NULL, seen BLOB NOT NULL, PRIMARY KEY (model, channel)
);
"""
PLACE = "CREATE TABLE IF NOT EXISTS place (id TEXT NOT NULL)"
NAMED = "INSERT INTO place SELECT ? WHERE NOT EXISTS (SELECT 1 FROM place)"
MEMORIES_EVERY = 10.0  # seconds
AT_ONCE = 500  # lines that are sent together
MOST_KEPT = 100_000  # lines in the file of a ledger that is shared, sent or not
INSERT = "INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
COLUMNS = "at, replica, channel, model, version, run_id, digest, what, who, why"
WAITING = f"SELECT id, {COLUMNS} FROM event WHERE id > ? ORDER BY id LIMIT {AT_ONCE}"  # noqa: S608
TRIM = "DELETE FROM event WHERE id <= (SELECT MAX(id) FROM event) - ?"
HISTORY = f"SELECT {COLUMNS} FROM event WHERE model = ? ORDER BY at DESC, id DESC"  # noqa: S608
CREDITED = (
    "SELECT 1 FROM event WHERE model = ? AND version = ? AND at >= ? AND who != '' "
    "AND what NOT IN ('share', 'reload') LIMIT 1"
)
PROMOTERS = f"""
SELECT model, version, who FROM event WHERE id IN (
    SELECT MAX(id) FROM event WHERE who != '' AND what NOT IN {IDLE} GROUP BY model, version
)
"""  # noqa: S608
SERVING_AT = f"""
SELECT {COLUMNS} FROM event WHERE id IN (
    SELECT MAX(id) FROM event WHERE model = ? AND at <= ? AND what NOT IN {IDLE}
    GROUP BY replica, channel
) AND what != 'vacated' ORDER BY at
"""  # noqa: S608


class Ledger:
    """The history of a machine's slots, or of all machines. Usable from several threads and
    processes. Raises sqlite3.Error, of which SharedAway is one.
    """

    def __init__(self, path: Path, shared: Shared | None = None) -> None:
        self.path = path
        self._shared = shared
        self._unsent: dict[tuple[str, str], Promotions] = {}  # for the shared ledger
        self._told: Mapping[tuple[str, str], Promotions] = {}  # by it
        self._asked_at = -MEMORIES_EVERY
        with closing(opened(path, SCHEMA, PATIENCE_SECONDS)) as db:
            db.execute(PLACE)
            db.execute(NAMED, (uuid4().hex,))
            db.executescript(TABLES)
            (self.place,) = db.execute("SELECT id FROM place").fetchone()

    def record(self, what: What, channel: str, version: Version, why: str, who: str = "") -> None:
        """Add a line to the history."""
        event = Event(
            now(),
            REPLICA,
            channel,
            version.name,
            version.version,
            version.run_id,
            version.digest,
            what,
            who,
            why,
        )
        with self._open() as db:
            db.execute(INSERT, msgspec.structs.astuple(event))

    def credited(self, version: Version, since: datetime) -> bool:
        """Whether somebody was named for a promotion of a version, by whatever process."""
        asked = (version.name, version.version, stamp(since))
        if self._shared:
            with suppress(SharedAway):
                if self._shared.credited(*asked):
                    return True
        with self._open() as db:
            return db.execute(CREDITED, asked).fetchone() is not None

    def history(self, model: str, limit: int = 1000) -> list[Event]:
        """The latest events of a model, oldest first; each once, whoever wrote a line of it."""
        if self._shared:
            self.send()
            return joined(self._shared.lines(model), limit)[::-1]
        with self._open() as db:
            lines = (Event(*row) for row in db.execute(HISTORY, (model,)))
            return joined(lines, limit)[::-1]

    def promoters(self) -> dict[tuple[str, str], str]:
        """Who promoted each version last, by model and version, where that is known.

        What all machines tell, or this one where they are out of reach.
        """
        if self._shared:
            with suppress(SharedAway):
                self.send()
                return self._shared.promoters()
        with self._open() as db:
            return {(model, version): who for model, version, who in db.execute(PROMOTERS)}

    def serving_at(self, model: str, time: datetime) -> list[Event]:
        """What served at a time: for each replica and channel, the last swap before it."""
        if self._shared:
            self.send()
            return self._shared.serving_at(model, stamp(time))
        with self._open() as db:
            rows = db.execute(SERVING_AT, (model, stamp(time))).fetchall()
        return [Event(*row) for row in rows]

    def remember(self, model: str, channel: str, seen: Promotions) -> None:
        """Keep what the last look at a channel saw, for the next start."""
        with self._open() as db:
            db.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?, ?)",
                (model, channel, msgspec.json.encode(seen)),
            )
        self._unsent[model, channel] = seen

    def recall(self, model: str, channel: str) -> Promotions | None:
        """What the last look at a channel saw, of all machines where they share that; or None."""
        query = "SELECT seen FROM memory WHERE model = ? AND channel = ?"
        with self._open() as db:
            row = db.execute(query, (model, channel)).fetchone()
        own = msgspec.json.decode(row[0], type=Promotions) if row else None
        told = self._memories().get((model, channel))
        if own is None or told is None:
            return own or told
        by_alias = BY_ALIAS in (own.model_timestamp, told.model_timestamp)
        return told if by_alias or told.model_timestamp >= own.model_timestamp else own

    def send(self) -> None:
        """Send the lines and memories that the shared ledger lacks. Raises SharedAway."""
        if self._shared is None:
            return
        while self._unsent:
            channel, seen = self._unsent.popitem()
            try:
                self._shared.remember(*channel, seen)
            except SharedAway:
                self._unsent.setdefault(channel, seen)
                raise
        last = self._shared.last(self.place)
        while lines := self._waiting(last):
            if lost := lines[0][0] - last - 1:
                log.error("%d lines of the ledger waited too long and are lost", lost)
            self._shared.send(self.place, lines)
            last = lines[-1][0]

    def trim(self) -> None:
        """Drop the oldest lines beyond the number that a shared ledger's file may have."""
        with self._open() as db:
            db.execute(TRIM, (MOST_KEPT,))

    def _memories(self) -> Mapping[tuple[str, str], Promotions]:
        """What the looks of all machines saw; many slots that begin together ask once."""
        if self._shared and time.monotonic() - self._asked_at >= MEMORIES_EVERY:
            try:
                self._told = self._shared.memories()
            except SharedAway as error:
                log.warning("the order of promotions is what this machine knows: %s", error)
            self._asked_at = time.monotonic()
        return self._told

    @contextmanager
    def transaction(self) -> Iterator[Ask]:
        """A transaction where all processes meet that share this ledger."""
        if self._shared:
            with self._shared.transaction() as ask:
                yield ask
        else:
            with self._open() as db:
                yield db.execute

    def _waiting(self, last: int) -> list[tuple[int, Event]]:
        with self._open() as db:
            return [(line, Event(*row)) for line, *row in db.execute(WAITING, (last,))]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=PATIENCE_SECONDS)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def stamp(time: datetime) -> str:
    """A time as the ledger writes it: ISO 8601, UTC, microseconds, so that text sorts as time."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def now() -> str:
    """The present as the ledger writes it."""
    return stamp(datetime.now(UTC))
