"""The way to MLflow, which a test may lead to a server that talks nonsense, or nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.serving.gate import Gate
from tests.serving.servers import answering


class Detour(Gate):
    """A Gate that may lead elsewhere for a while."""

    @contextmanager
    def to_nonsense(self, body: bytes, status: int) -> Iterator[list[bytes]]:
        """Lead to a server with one answer to everything; gives the requests that it heard."""
        right = self._server
        with answering(body, status) as (url, heard):
            self._lead_to((urlsplit(url).hostname or "", urlsplit(url).port or 0))
            yield heard
            self._lead_to(right)

    @contextmanager
    def to_nowhere(self) -> Iterator[None]:
        """No connection gets through."""
        self.shut()
        yield
        self.open()

    def _lead_to(self, server: tuple[str, int]) -> None:
        self.shut()
        self._server = server
        self.open()
