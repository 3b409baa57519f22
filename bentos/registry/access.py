"""How the MLflow server is reached: by the variables that MLflow's own client goes by.

https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/
"""

import os
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from bentos import tracing
from bentos.registry.address import credentials, without_password
from bentos.registry.either import Either

USER = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - where it is, not what it is
TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
SERVER_CERT = "MLFLOW_TRACKING_SERVER_CERT_PATH"
CLIENT_CERT = "MLFLOW_TRACKING_CLIENT_CERT_PATH"

Headers = Sequence[tuple[bytes, bytes]]


class AccessError(Exception):
    """The variables that say how to reach the server cannot be used."""


def connected(
    uri: str, timeout: float, direct: str = "", caller: Headers | None = None
) -> httpx.Client:
    """A client of the server at `uri`, or `direct` while that takes no connection.

    It calls as the environment says, or with the headers of a `caller`. Raises AccessError.
    """
    transport = None
    if direct:
        transport = Either(uri, direct, httpx.HTTPTransport(verify=verified()))
    # The password of a URI would stand in every error of httpx's.
    return httpx.Client(
        base_url=f"{without_password(uri)}/api/2.0/",
        timeout=timeout,
        auth=_basic(uri) if caller is None else None,
        headers=_bearer() if caller is None else caller,
        verify=verified(),
        transport=transport,
        event_hooks={"request": [_carry]},
    )


def _carry(request: httpx.Request) -> None:
    tracing.carry(request.headers)


def is_loopback(uri: str) -> bool:
    """Whether a URI leads to this machine itself."""
    try:
        host = urlsplit(without_password(uri)).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # a name, or no URI
        return False


def _basic(uri: str) -> tuple[str, str] | None:
    user, password = os.environ.get(USER), os.environ.get(PASSWORD, "")
    if user and (password or not os.environ.get(TOKEN)):
        return user, password
    return credentials(uri)


def _bearer() -> dict[str, str]:
    token = os.environ.get(TOKEN)
    return {"authorization": f"Bearer {token}"} if token else {}


def verified() -> ssl.SSLContext | bool:
    """How the server's certificate is checked, and what is shown to it. Raises AccessError."""
    insecure = os.environ.get(INSECURE, "").lower() in ("true", "1")
    server, own = os.environ.get(SERVER_CERT), os.environ.get(CLIENT_CERT)
    if insecure and server:
        raise AccessError(f"{INSECURE} and {SERVER_CERT} exclude each other: unset one")
    if not (insecure or server or own):
        return True
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if server:
        _read(SERVER_CERT, server, context.load_verify_locations)
    if own:
        _read(CLIENT_CERT, own, context.load_cert_chain)
    return context


def _read(variable: str, path: str, load: Callable[[str], None]) -> None:
    try:
        load(path)
    except OSError as error:  # ssl.SSLError is one
        raise AccessError(f"{variable} is {path!r}, which cannot be read: {error}") from error
