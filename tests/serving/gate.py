"""A gate in front of a server: what passes is real, and a test may shut it at any byte."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from urllib.parse import urlsplit

from tests.stack import free_ports


class Gate:
    """Forwards TCP connections to a server while it is open. Its own address never changes."""

    def __init__(self, server: str) -> None:
        (self._port,) = free_ports(1)
        self._lock = Lock()
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
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def lead_to(self, server: str) -> None:
        """Send what comes from now on elsewhere."""
        address = urlsplit(server)
        with self._lock:
            self._server = (address.hostname or "", address.port or 80)
            self._break_all()

    def shut(self) -> None:
        """Break every connection and refuse new ones, as a machine does whose server died."""
        with self._lock:
            _break(self._listener)
            self._break_all()

    def _break_all(self) -> None:
        for connection in self._open:
            _break(connection)
        self._open = []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:  # nobody gets through while the gate is turned or shut
                self._let_in(client, listener)

    def _let_in(self, client: socket.socket, listener: socket.socket) -> None:
        try:
            listener.getsockname()  # fails if it was shut since it took this client
            server = socket.create_connection(self._server)
        except OSError:
            _break(client)
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
