"""The token of a browser, in a cookie that no script reads and no other site sends.

Forms that change something carry a second secret, which is made from the token: a page that makes
a browser send the cookie does not know it.
"""

import hmac

from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from bentos.web.headers import first

COOKIE = "ascenso_session"
LOGIN = "/console/login"
OPEN = (LOGIN, "/console/assets/*")  # without a token, in every service
LONGEST = 3800  # characters of a token: a browser drops a larger cookie without a word
SAFE = {"GET", "HEAD", "OPTIONS"}


def token(scope: Scope) -> str:
    """The token that a browser brought along, or nothing."""
    return cookie_parser(first(scope, b"cookie").decode("latin-1")).get(COOKIE, "")


def form_secret(scope: Scope) -> str:
    """What the forms of this session carry."""
    return hmac.digest(token(scope).encode(), b"ascenso forms", "sha256").hex()


def is_own_form(scope: Scope, secret: str) -> bool:
    """Whether a form came from a page of this session."""
    return bool(token(scope)) and hmac.compare_digest(
        form_secret(scope).encode(), secret.encode("utf-8", "replace")
    )


def begin(response: Response, token: str, seconds: int, secure: bool) -> None:
    """Let a browser bring a token along for so long; over TLS only where it came so."""
    response.set_cookie(
        COOKIE, token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict"
    )


def end(response: Response) -> None:
    """Let a browser forget its token."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
