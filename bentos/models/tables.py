"""Which calls at `/NAME/predict` bring a table of Arrow, and which want one."""

from starlette.types import Scope

from bentos.protocols.arrow_stream import MEDIA_TYPE
from bentos.web.errors import JSON
from bentos.web.headers import first

_ARROW, _JSON = MEDIA_TYPE.encode(), JSON.encode()


def comes(scope: Scope) -> bool:
    """Whether the body of a call is a table."""
    given = first(scope, b"content-type")
    return given != _JSON and given.partition(b";")[0].strip().lower() == _ARROW


def is_wanted(scope: Scope) -> bool:
    """Whether the answer shall be a table: as `accept` says, or else as the body is."""
    accepted = first(scope, b"accept").lower()
    if not accepted:
        return comes(scope)
    if (_ARROW in accepted) == (_JSON in accepted):
        return comes(scope)
    return _ARROW in accepted
