"""Who calls: what MLflow would know a caller by.

The relay has no account of its own. It looks with its callers' credentials, one look for all that
have the same, so that MLflow itself decides what each may see. Nothing else of a request goes
along with such a look: no header that is not part of who a caller is can change what it shows.
"""

from collections.abc import Mapping
from hashlib import sha256

from starlette.requests import Request

WHO = ("authorization", "cookie", "x-mlflow-workspace")


class Caller:
    """The credentials of a request. Callers of the same credentials are equal."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = {name: headers[name] for name in WHO if name in headers}
        pairs = "\0".join(f"{name}\0{value}" for name, value in self.headers.items())
        self.key = sha256(pairs.encode("latin-1")).hexdigest()

    @classmethod
    def of(cls, request: Request) -> "Caller":
        """Who sent a request."""
        return cls({name: ", ".join(request.headers.getlist(name)) for name in request.headers})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Caller) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
