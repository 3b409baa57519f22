"""A gate in front of a server: what passes is real, and a test may shut it at any byte."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import urlsplit


class Gate:
    """Forwards TCP connections to a server while it is open. Its own address never changes."""

    def __init__(self, server: str) -> None:
        self._port = 0
        self._open: list[socket.socket] = []
        self.lead_to(server)
        self.cut_after: int | None = None  # bytes of a connection's answers
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Let everything pass."""
        self.cut_after = None
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def lead_to(self, server: str) -> None:
        """Send what comes from now on elsewhere."""
        address = urlsplit(server)
        self._server = (address.hostname or "", address.port or 80)
        for connection in self._open:
            _break(connection)
        self._open = []

    def shut(self) -> None:
        """Break every connection and refuse new ones, as a machine does whose server died."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            _break(connection)
        self._open = []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            self._open += [client, server]
            Thread(target=_pass, args=(client, server), daemon=True).start()
            Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := server.recv(65536):
                limit = self.cut_after
                if limit is not None and passed + len(data) > limit:
                    client.sendall(data[: max(0, limit - passed)])
                    break
                passed += len(data)
                client.sendall(data)
        _break(server)
        _break(client)


def _pass(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)
    _break(server)


def _break(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def gated(server: str) -> Iterator[Gate]:
    """An open gate."""
    gate = Gate(server)
    try:
        yield gate
    finally:
        gate.shut()
