"""Which web pages of other origins may call a service, and read what it answers.

What a page may do without asking first (a POST of text, a form, an image's address) reaches the
service all the same; so where a call changes something, the service looks at what the browser says
of the page. It does so as Go's `http.CrossOriginProtection`.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Scope

from bentos.web.errors import HTTPError, clip
from bentos.web.headers import VERSION_HEADER, first

ANY = "*"
ANY_PORT = ":*"
OWN = (b"same-origin", b"none")  # of Sec-Fetch-Site; none: somebody typed the address


class Origins:
    """Those whose pages may call; `http://localhost:*` is localhost at every port."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._exact = [origin for origin in origins if not origin.endswith(ANY_PORT)]
        hosts = [origin.removesuffix(ANY_PORT) for origin in origins if origin.endswith(ANY_PORT)]
        self._pattern = "|".join(rf"{re.escape(host)}(:\d+)?" for host in hosts)

    def open_to(self, app: ASGIApp) -> ASGIApp:
        """Let pages of these origins call `app`."""
        if not self._exact and not self._pattern:
            return app
        return CORSMiddleware(
            app,
            allow_origins=self._exact,
            allow_origin_regex=self._pattern or None,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[VERSION_HEADER],
        )

    def check(self, scope: Scope, listed: bool = True) -> None:
        """Raise HTTPError 403 for a call from a page of another origin than these and its own.

        Unless `listed`, for one of these, too.
        """
        origin = first(scope, b"origin").decode("latin-1")
        site = first(scope, b"sec-fetch-site")
        if site in OWN or not (origin or site):  # without both it is no browser
            return
        host = first(scope, b"host").decode("latin-1")
        if not site and urlsplit(origin).netloc.lower() == host.lower():
            return
        if not (listed and self._have(origin)):
            raise HTTPError(
                403,
                f"{scope['method']} {clip(scope['path'])} is closed to pages of "
                f"{clip(origin) or 'other origins'}: list theirs in services.cors_origins",
            )

    def _have(self, origin: str) -> bool:
        return (
            ANY in self._exact
            or origin in self._exact
            or bool(self._pattern and re.fullmatch(self._pattern, origin))
        )
