"""By which names a service on loopback may be called.

A page whose name its owner points to 127.0.0.1 after it was loaded is of the same origin as a
service there (DNS rebinding): only the header Host tells that the service was not meant.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

import psutil
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.web.errors import HTTPError, clip
from bentos.web.headers import first

ANY = "*"
LOCAL = "localhost"


class Hosts:
    """The names that may be called beside localhost; `*` is for any."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.lower() for name in names}
        self._fits = lru_cache(256)(self._is_known)

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, closed to calls to another name."""

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                if scope["type"] == "http":
                    self.check(scope)
            except HTTPError as error:
                await error.answer(send)
            else:
                await app(scope, receive, send)

        return behind

    def check(self, scope: Scope) -> None:
        """Raise HTTPError 403 for a call to another name, on a service that only this machine has.

        Addresses are no names: nobody can point one elsewhere.
        """
        server = scope.get("server")
        if ANY in self._names or not server or not _only_loopback(*server):
            return
        host = first(scope, b"host")
        if not self._fits(host):
            name = clip(_name(host))
            raise HTTPError(
                403, f"Nobody here is called {name!r}: list it in services.hosts, if it is"
            )

    def _is_known(self, host: bytes) -> bool:
        name = _name(host)
        return not name or name in self._names or _is_local(name)


def _name(header: bytes) -> str:
    """The name of a header Host, without its port."""
    host = header.decode("latin-1")
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".").lower()


def _is_local(name: str) -> bool:
    return name == LOCAL or name.endswith(f".{LOCAL}") or _address(name) is not None


@lru_cache(256)
def _only_loopback(address: str, port: int | None) -> bool:
    """Whether a connection to `address` came to a socket that other machines cannot reach."""
    found = _address(address)
    if found is None or not found.is_loopback:
        return False
    listening = [
        one.laddr.ip
        for one in psutil.Process().net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    ]
    return all(ipaddress.ip_address(ip).is_loopback for ip in listening)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
