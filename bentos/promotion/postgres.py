"""One connection to PostgreSQL, in which the processes of all machines meet."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from sqlite3 import Error as LedgerError
from threading import Lock
from typing import Any, cast

from bentos.outward import calling
from bentos.promotion.findings import Answer, Ask

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10


class SharedAway(LedgerError):
    """PostgreSQL does not answer, or not as it should; the message says why.

    Who reads a ledger catches it as one that cannot be read.
    """


class Postgres:
    """Made anew where it broke, with the tables of a schema. Thread-safe."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._connection: Any = None
        self._lock = Lock()

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """A cursor in a transaction of its own. Raises SharedAway."""
        try:
            import psycopg2
        except ModuleNotFoundError:
            raise SharedAway("psycopg2 is not installed: pip install 'ascenso[ledger]'") from None
        with self._lock:
            try:
                with (
                    calling("postgres"),
                    self._connected() as connection,
                    connection.cursor() as cursor,
                ):
                    yield cursor
            except psycopg2.Error as error:
                self._drop()
                raise SharedAway(f"PostgreSQL: {_said(error)}") from None

    @contextmanager
    def transaction(self) -> Iterator[Ask]:
        """The same, in SQL with ? for values."""
        with self.asked() as cursor:

            def ask(query: str, values: Sequence[Any]) -> Answer:
                cursor.execute(query.replace("?", "%s"), values)
                return cast(Answer, cursor)

            yield ask

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._drop()

    def _connected(self) -> Any:
        import psycopg2

        if not self._lives():
            self._drop()
        if self._connection is None:
            try:
                made = psycopg2.connect(
                    self._url,
                    connect_timeout=CONNECT_SECONDS,
                    application_name="ascenso",
                    tcp_user_timeout=ANSWER_SECONDS * 1000,
                )
            except psycopg2.ProgrammingError:
                raise SharedAway("ledger.url is no address of PostgreSQL") from None  # it may show
            with made, made.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = {1000 * ANSWER_SECONDS}; {self._schema}")
            self._connection = made
        return self._connection

    def _lives(self) -> bool:
        """Whether the connection is still one: a server that began anew has forgotten it."""
        import psycopg2

        if self._connection is None:
            return False
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            return False
        return True

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
