"""A relay in this process, behind a real uvicorn, that may be killed and come back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from bentos.relay import metrics
from bentos.relay.server import Server
from tests.serving.service import settings
from tests.stack import free_ports, wait_for


class Relay:
    """Between replicas and the MLflow at `uri`."""

    def __init__(self, uri: str, home: Path, **sections: dict[str, Any]) -> None:
        self._settings = settings(home, uri, **sections)
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer, as a new process does."""
        self._server = Server(self._settings, "127.0.0.1", self._port)
        self._thread = Thread(target=self._server.run)
        self._thread.start()
        wait_for(lambda: self._server.started or not self._thread.is_alive(), 60)
        assert self._server.started

    def kill(self) -> None:
        """Break all connections."""
        self._server.should_exit = True
        self._thread.join(60)


def counted(name: str, **labels: str) -> float:
    """A number of the relay's metrics."""
    return metrics.REGISTRY.get_sample_value(f"ascenso_relay_{name}", labels) or 0.0


@contextmanager
def relaying(uri: str, home: Path, **sections: dict[str, Any]) -> Iterator[Relay]:
    """A running relay."""
    relay = Relay(uri, home, **sections)
    relay.start()
    try:
        yield relay
    finally:
        relay.kill()
