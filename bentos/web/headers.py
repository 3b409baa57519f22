"""Headers: of requests one by its name, of answers what may stand in one."""

import base64
import hashlib
from functools import lru_cache
from urllib.parse import quote

from starlette.types import Scope

VERSION_HEADER = "x-model-version"
BY_NAME = "ascenso.headers"  # in the scope of a request, which is asked for several of them
# ASCII that can be seen, without `%`: so that it begins an escape and nothing else.
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def allowed(script: str) -> str:
    """A script inside a page, as the page's policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def first(scope: Scope, name: bytes) -> bytes:
    """The first header of a request that has this name, in small letters; or nothing."""
    headers = scope["headers"]
    known = scope.get(BY_NAME)
    if known is None or known[0] is not headers:
        known = scope[BY_NAME] = headers, dict(reversed(headers))
    value: bytes = known[1].get(name, b"")
    return value


@lru_cache(1024)
def spelled(text: str) -> str:
    """A text as a header may hold it: what is not ASCII, or `%`, percent-encoded as in a URL."""
    return quote(text, safe=_PLAIN)
