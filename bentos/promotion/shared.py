"""What the processes of all machines share, in PostgreSQL: the ledger, who serves what, wishes.

It may be away: who asks gets SharedAway then, and what is to be written waits in the ledger of
each machine (`bentos.promotion.ledger`).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bentos.promotion.channel import Promotions
from bentos.promotion.event import IDLE, Event
from bentos.promotion.findings import TABLES, Ask
from bentos.promotion.postgres import Postgres

MOST_LINES = 200_000  # read at once
STARTING = 0x41534345  # the lock under which the tables are made
COLUMNS = "at, replica, channel, model, version, run_id, digest, what, who, why"
SCHEMA = f"""
SELECT pg_advisory_xact_lock({STARTING});
CREATE TABLE IF NOT EXISTS ascenso_event (
    place text NOT NULL, line bigint NOT NULL, at text NOT NULL, replica text NOT NULL,
    channel text NOT NULL, model text NOT NULL, version text NOT NULL, run_id text NOT NULL,
    digest text NOT NULL, what text NOT NULL, who text NOT NULL, why text NOT NULL,
    PRIMARY KEY (place, line)
);
CREATE INDEX IF NOT EXISTS ascenso_event_by_model ON ascenso_event (model, at);
CREATE INDEX IF NOT EXISTS ascenso_event_by_name ON ascenso_event (model, version, at)
WHERE who <> '';
CREATE TABLE IF NOT EXISTS ascenso_memory (
    model text NOT NULL, channel text NOT NULL, moved bigint NOT NULL, seen text NOT NULL,
    PRIMARY KEY (model, channel)
);
CREATE TABLE IF NOT EXISTS ascenso_replica (
    replica text PRIMARY KEY, seen timestamptz NOT NULL, changed timestamptz NOT NULL,
    serves text NOT NULL
);
CREATE TABLE IF NOT EXISTS ascenso_reload (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), replica text NOT NULL
);
{TABLES}"""
LAST = "SELECT coalesce(max(line), 0) FROM ascenso_event WHERE place = %s"
INSERT = f"INSERT INTO ascenso_event (place, line, {COLUMNS}) VALUES %s ON CONFLICT DO NOTHING"  # noqa: S608
HISTORY = f"""
SELECT {COLUMNS} FROM ascenso_event WHERE model = %s
ORDER BY at DESC, place, line DESC LIMIT {MOST_LINES}
"""  # noqa: S608
CREDITED = """
SELECT 1 FROM ascenso_event WHERE model = %s AND version = %s AND at >= %s AND who != ''
AND what NOT IN ('share', 'reload') LIMIT 1
"""
PROMOTERS = f"""
SELECT DISTINCT ON (model, version) model, version, who FROM ascenso_event
WHERE who <> '' AND what NOT IN {IDLE} ORDER BY model, version, at DESC, line DESC
"""  # noqa: S608
REMEMBER = """
INSERT INTO ascenso_memory VALUES (%s, %s, %s, %s)
ON CONFLICT (model, channel) DO UPDATE SET moved = excluded.moved, seen = excluded.seen
WHERE excluded.moved < 0 OR excluded.moved >= ascenso_memory.moved
"""
MEMORIES = "SELECT model, channel, seen FROM ascenso_memory"
SERVING_AT = f"""
SELECT {COLUMNS} FROM (
    SELECT DISTINCT ON (replica, channel) * FROM ascenso_event
    WHERE model = %s AND at <= %s AND what NOT IN {IDLE}
    ORDER BY replica, channel, at DESC, line DESC
) AS last WHERE what != 'vacated' ORDER BY at
"""  # noqa: S608
SAY = """
INSERT INTO ascenso_replica VALUES (%s, now(), now(), %s)
ON CONFLICT (replica) DO UPDATE SET seen = now(), changed = now(), serves = EXCLUDED.serves
"""
BEAT = "UPDATE ascenso_replica SET seen = now() WHERE replica = %s"
BURY = "DELETE FROM ascenso_replica WHERE seen < now() - %s"
FLEET = "SELECT replica, seen, changed FROM ascenso_replica WHERE seen >= now() - %s ORDER BY 1"
SERVES = "SELECT replica, changed, serves FROM ascenso_replica WHERE replica = ANY(%s)"
LEAVE = "DELETE FROM ascenso_replica WHERE replica = %s"
WISH = "INSERT INTO ascenso_reload (replica) VALUES (%s) RETURNING id"
WISHED = "SELECT coalesce(max(id), 0) FROM ascenso_reload"
GRANTED = "DELETE FROM ascenso_reload WHERE id < %s"


class Serving(msgspec.Struct, frozen=True):
    """A version that serves on a channel of a replica. A challenger tells what calls showed."""

    model: str
    channel: str
    version: str
    since: str
    compared: int | None = None
    agreed: int | None = None
    answered: int | None = None
    errors: int | None = None


class Replica(msgspec.Struct, frozen=True):
    """A process that serves, and when it last said so."""

    name: str
    seen: str
    serves: list[Serving]


class Shared:
    """What is asked and said there. Thread-safe. Every call may raise SharedAway."""

    def __init__(self, url: str) -> None:
        self._postgres = Postgres(url, SCHEMA)
        self._said = ""  # by `beat`
        self._known: dict[str, tuple[datetime, list[Serving]]] = {}  # of `fleet`, since when

    def send(self, place: str, lines: Sequence[tuple[int, Event]]) -> None:
        """Write lines of the ledger of a place, which may have been written before."""
        from psycopg2.extras import execute_values

        rows = [(place, line, *msgspec.structs.astuple(event)) for line, event in lines]
        with self._postgres.asked() as cursor:
            execute_values(cursor, INSERT, rows)

    def last(self, place: str) -> int:
        """The last line of a place that was written."""
        return int(self._one(LAST, place))

    def lines(self, model: str) -> list[Event]:
        """The lines about a model, newest first."""
        return self._events(HISTORY, model)

    def serving_at(self, model: str, at: str) -> list[Event]:
        """For each replica and channel, the last swap before a time."""
        return self._events(SERVING_AT, model, at)

    def credited(self, model: str, version: str, since: str) -> bool:
        """Whether somebody was named for a promotion of a version."""
        return self._one(CREDITED, model, version, since) is not None

    def promoters(self) -> dict[tuple[str, str], str]:
        """Who promoted each version last, by model and version, where that is known."""
        with self._postgres.asked() as cursor:
            cursor.execute(PROMOTERS)
            return {(model, version): who for model, version, who in cursor.fetchall()}

    def remember(self, model: str, channel: str, seen: Promotions) -> None:
        """Keep what a look at a channel saw, unless a later one was kept."""
        said = msgspec.json.encode(seen).decode()
        with self._postgres.asked() as cursor:
            cursor.execute(REMEMBER, (model, channel, seen.model_timestamp, said))

    def memories(self) -> dict[tuple[str, str], Promotions]:
        """What the last looks at all channels saw, by model and channel."""
        with self._postgres.asked() as cursor:
            cursor.execute(MEMORIES)
            return {
                (model, channel): msgspec.json.decode(seen, type=Promotions)
                for model, channel, seen in cursor.fetchall()
            }

    def beat(self, replica: str, serves: Sequence[Serving]) -> None:
        """Say that a replica lives, and what it serves where that has changed."""
        said = msgspec.json.encode(serves).decode()
        with self._postgres.asked() as cursor:
            if said == self._said:
                cursor.execute(BEAT, (replica,))
            if said != self._said or not cursor.rowcount:  # or others have forgotten it
                cursor.execute(SAY, (replica, said))
        self._said = said

    def leave(self, replica: str) -> None:
        """Say that a replica is no more."""
        with self._postgres.asked() as cursor:
            cursor.execute(LEAVE, (replica,))

    def fleet(self, quiet: timedelta) -> list[Replica]:
        """The replicas that were not quiet for so long; others are forgotten after a while."""
        with self._postgres.asked() as cursor:
            cursor.execute(BURY, (20 * quiet,))
            cursor.execute(FLEET, (quiet,))
            living = cursor.fetchall()
            self._read_anew(cursor, [(name, changed) for name, _, changed in living])
        known = self._known
        return [
            Replica(name, seen.isoformat(), known[name][1]) for name, seen, _ in living
            if name in known
        ]  # fmt: skip

    def wish(self, replica: str) -> int:
        """Ask all replicas to look at the registry; give the number of the wish."""
        with self._postgres.asked() as cursor:
            cursor.execute(WISH, (replica,))
            number = int(cursor.fetchone()[0])
            cursor.execute(GRANTED, (number,))
        return number

    def wished(self) -> int:
        """The number of the last wish."""
        return int(self._one(WISHED))

    def transaction(self) -> AbstractContextManager[Ask]:
        """A transaction, in SQL with ? for values."""
        return self._postgres.transaction()

    def close(self) -> None:
        """End the connection."""
        self._postgres.close()

    def _read_anew(self, cursor: Any, living: Sequence[tuple[str, datetime]]) -> None:
        """Read what replicas serve that have changed it; of fifty, hardly one has."""
        kept = {name: self._known[name] for name, changed in living if self._knows(name, changed)}
        cursor.execute(SERVES, ([name for name, _ in living if name not in kept],))
        self._known = kept | {
            name: (changed, msgspec.json.decode(serves, type=list[Serving]))
            for name, changed, serves in cursor.fetchall()
        }

    def _knows(self, name: str, changed: datetime) -> bool:
        return name in self._known and self._known[name][0] == changed

    def _one(self, query: str, *values: object) -> Any:
        with self._postgres.asked() as cursor:
            cursor.execute(query, values)
            row = cursor.fetchone()
        return row[0] if row else None

    def _events(self, query: str, *values: object) -> list[Event]:
        with self._postgres.asked() as cursor:
            cursor.execute(query, values)
            return [Event(*row) for row in cursor.fetchall()]
