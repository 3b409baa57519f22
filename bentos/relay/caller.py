"""Who calls: what MLflow would know a caller by.

The relay has no account of its own. It looks with its callers' credentials, one look for all that
have the same, so that MLflow itself decides what each may see. Nothing else of a request goes
along with such a look: no header that is not part of who a caller is can change what it shows.
"""

from collections.abc import Iterable
from hashlib import sha256

from starlette.requests import Request

WHO = (b"authorization", b"cookie", b"x-mlflow-workspace")


class Caller:
    """The credentials of a request. Callers of the same credentials are equal."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.headers = sorted(pair for pair in headers if pair[0] in WHO)
        self.key = sha256(repr(self.headers).encode()).hexdigest()

    @classmethod
    def of(cls, request: Request) -> "Caller":
        """Who sent a request."""
        return cls(request.headers.raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
