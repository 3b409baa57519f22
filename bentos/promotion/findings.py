"""What processes saw of the versions that they judge together, and what one of them found: rows
in the database where they meet, in SQL that both SQLite and PostgreSQL speak.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

JUDGED_EVERY = 1.5  # seconds; whoever asks sooner leaves it to who asked
REMEMBERED = 600.0  # seconds that the evidence of a process counts, after its end too
FORGOTTEN = 86_400.0
TABLES = """
CREATE TABLE IF NOT EXISTS ascenso_evidence (
    subject text NOT NULL, replica text NOT NULL, at double precision NOT NULL, said text NOT NULL,
    PRIMARY KEY (subject, replica)
);
CREATE TABLE IF NOT EXISTS ascenso_finding (
    subject text PRIMARY KEY, at double precision NOT NULL, replica text NOT NULL,
    words text NOT NULL
);
"""
TELL = """
INSERT INTO ascenso_evidence VALUES (?, ?, ?, ?)
ON CONFLICT (subject, replica) DO UPDATE SET at = excluded.at, said = excluded.said
"""
CLAIM = """
INSERT INTO ascenso_finding VALUES (?, ?, ?, '')
ON CONFLICT (subject) DO UPDATE SET at = excluded.at, replica = excluded.replica
WHERE ascenso_finding.words = '' AND abs(excluded.at - ascenso_finding.at) >= ?
"""
TOLD = "SELECT said FROM ascenso_evidence WHERE subject = ? AND at >= ?"
FIND = "UPDATE ascenso_finding SET words = ? WHERE subject = ?"
FOUND = "SELECT subject, words FROM ascenso_finding WHERE words <> '' AND subject IN ({})"
FORGET = ("DELETE FROM ascenso_finding WHERE {}", "DELETE FROM ascenso_evidence WHERE {}")


class Answer(Protocol):
    """What a database answers."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        ...

    def fetchall(self) -> list[Any]:
        """The rows."""
        ...


Ask: TypeAlias = Callable[[str, Sequence[Any]], Answer]  # values stand for ? in the SQL


class Findings:
    """Of all processes that meet in a database. `transaction` begins one; it may raise
    sqlite3.Error, as everything here does then.
    """

    def __init__(self, transaction: Callable[[], AbstractContextManager[Ask]]) -> None:
        self._transaction = transaction

    def tell(self, replica: str, said: Mapping[str, str]) -> None:
        """Say what a process saw, by subject."""
        now = time.time()
        with self._transaction() as ask:
            for subject in sorted(said):  # in one order, so that two never wait for each other
                ask(TELL, (subject, replica, now, said[subject]))

    def judge(self, subject: str, replica: str, judged: Callable[[list[str]], str]) -> str:
        """Judge what all said of a subject, if it is time and nothing was found yet.

        Meanwhile no other process does. Gives what was found now: it stands from now on.
        """
        now = time.time()
        with self._transaction() as ask:
            if not ask(CLAIM, (subject, now, replica, JUDGED_EVERY)).rowcount:
                return ""
            said = [row[0] for row in ask(TOLD, (subject, now - REMEMBERED)).fetchall()]
            if words := judged(said):
                ask(FIND, (words, subject))
            return words

    def of(self, subjects: Collection[str]) -> dict[str, str]:
        """What was found, by whatever process, of these subjects."""
        if not subjects:
            return {}
        with self._transaction() as ask:
            found = ask(FOUND.format(", ".join("?" * len(subjects))), tuple(subjects)).fetchall()
        return dict(found)

    def forget(self, subject: str) -> None:
        """Let what was said and found of a subject count no more."""
        with self._transaction() as ask:
            for query in FORGET:
                ask(query.format("subject = ?"), (subject,))

    def trim(self) -> None:
        """Drop what is old."""
        with self._transaction() as ask:
            for query in FORGET:
                ask(query.format("at < ?"), (time.time() - FORGOTTEN,))
