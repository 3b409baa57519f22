"""The way to MLflow, which a test may lead to a server that talks nonsense, or nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving.gate import Gate
from tests.serving.servers import answering


class Detour(Gate):
    """A Gate that may lead elsewhere for a while."""

    def __init__(self, mlflow: str) -> None:
        super().__init__(mlflow)
        self._mlflow = mlflow

    @contextmanager
    def to_nonsense(self, body: bytes, status: int) -> Iterator[list[bytes]]:
        """Lead to a server with one answer to everything; gives the requests that it heard."""
        with answering(body, status) as (url, heard):
            self.lead_to(url)
            try:
                yield heard
            finally:
                self.lead_to(self._mlflow)

    @contextmanager
    def to_nowhere(self) -> Iterator[None]:
        """No connection gets through."""
        self.shut()
        try:
            yield
        finally:
            self.open()
