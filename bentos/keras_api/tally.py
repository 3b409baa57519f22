"""Counts and history of calls that hold over several workers and a restart: one SQLite file.

Calls that end together are written together, by one thread, before they are answered: so the
totals are exact for whoever has an answer.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from anyio.to_thread import run_sync

from bentos.database import opened
from bentos.promotion.ledger import now
from bentos.web.errors import Unavailable
from bentos.web.metrics import TALLY_LOST

log = logging.getLogger(__name__)

KEPT = 1000
PATIENCE_SECONDS = 5.0  # for other workers, whose writes take less than a millisecond
SCHEMA = """
CREATE TABLE IF NOT EXISTS call (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, model_id TEXT NOT NULL,
    rows INTEGER NOT NULL, mean_confidence REAL
);
CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), rows INTEGER NOT NULL);
INSERT OR IGNORE INTO total VALUES (1, 0);
"""
INSERT = "INSERT INTO call (at, model_id, rows, mean_confidence) VALUES (?, ?, ?, ?)"
ADD = "UPDATE total SET rows = rows + ?"
TRIM = "DELETE FROM call WHERE id <= (SELECT MAX(id) FROM call) - ?"
TOTAL = "SELECT rows FROM total"
RECENT = "SELECT at, model_id, rows, mean_confidence FROM call ORDER BY id DESC LIMIT ?"


class Call(msgspec.Struct, frozen=True):
    """One call: when it was answered (ISO 8601, UTC), and for how many rows."""

    at: str
    model_id: str
    rows: int
    mean_confidence: float | None  # None without rows


@dataclass
class _Group:
    """Calls to be written together."""

    calls: list[Call] = field(default_factory=list)
    written: asyncio.Event = field(default_factory=asyncio.Event)


class Tally:
    """Counts the calls of a service. The newest `kept` are remembered one by one."""

    def __init__(self, path: Path, kept: int = KEPT) -> None:
        self.path = path
        self._kept = kept
        self._waiting = _Group()
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tally")
        self._db: sqlite3.Connection | None = None

    async def add(self, model_id: str, rows: int, mean_confidence: float | None) -> None:
        """Count a call. Returns when it is written, or is lost and logged: it raises nothing."""
        group = self._waiting
        group.calls.append(Call(now(), model_id, rows, mean_confidence))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_groups())
        await group.written.wait()

    async def total(self) -> int:
        """How many rows were ever counted. Raises Unavailable."""
        ((rows,),) = await run_sync(self._read, TOTAL)
        return int(rows)

    async def recent(self, limit: int = KEPT) -> list[Call]:
        """The latest calls, oldest first. Raises Unavailable."""
        rows = await run_sync(self._read, RECENT, limit)
        return [Call(*row) for row in reversed(rows)]

    async def _write_groups(self) -> None:
        """Write what waits, and then what came meanwhile."""
        loop = asyncio.get_running_loop()
        while (group := self._waiting).calls:
            self._waiting = _Group()
            try:
                await loop.run_in_executor(self._thread, self._write_safely, group.calls)
            finally:
                group.written.set()

    def _write_safely(self, calls: Sequence[Call]) -> None:
        try:
            self._write(calls)
        except (sqlite3.Error, OSError) as error:
            TALLY_LOST.inc(len(calls))
            log.error("%d calls are lost to the tally %s: %s", len(calls), self.path, error)
            if self._db:
                self._db.close()
            self._db = None  # the file may have been replaced

    def _write(self, calls: Sequence[Call]) -> None:
        db = self._db = self._db or opened(self.path, SCHEMA, PATIENCE_SECONDS)
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(INSERT, map(msgspec.structs.astuple, calls))
            db.execute(ADD, (sum(call.rows for call in calls),))
            db.execute(TRIM, (self._kept,))

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            with closing(opened(self.path, SCHEMA, PATIENCE_SECONDS)) as db:
                return db.execute(query, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"The tally cannot be read: {error}") from None
