"""The address of the MLflow server, which may hold a user name and a password."""

import re
from urllib.parse import unquote

# Up to the last `@`, for a password that is not percent-encoded as it should be.
_CREDENTIALS = re.compile(
    r"\A(?P<scheme>[^:/@]*://)?(?P<user>[^:]*?)(?::(?P<password>.*))?@", re.S
)


def without_password(uri: str) -> str:
    """An address as messages may show it: without user name (it may be a token) and password."""
    return _CREDENTIALS.sub(lambda found: found["scheme"] or "", uri)


def credentials(uri: str) -> tuple[str, str] | None:
    """The user name and password of an address, if it has some."""
    found = _CREDENTIALS.match(uri)
    return (unquote(found["user"]), unquote(found["password"] or "")) if found else None
