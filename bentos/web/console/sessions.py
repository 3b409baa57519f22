"""Logging in and out with a browser."""

import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bentos.web.auth import session
from bentos.web.auth.gate import Caller, Gate
from bentos.web.auth.login import LARGEST, Credentials
from bentos.web.auth.throttle import address
from bentos.web.auth.tokens import Insecure, Unauthorized
from bentos.web.body import decode_query, read
from bentos.web.console.places import back_to, root
from bentos.web.console.templating import page
from bentos.web.endpoint import Endpoint
from bentos.web.errors import HTTPError, UnsupportedBody, clip

FORM = "application/x-www-form-urlencoded"
LOGOUT = "/console/logout"


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the login form sends: a name and a password, or a token."""

    username: str = ""
    password: str = ""
    token: str = ""
    next: str = ""


class Sessions:
    """The login page, and who is logged in."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where people log in and out."""
        return [
            Endpoint("GET", session.LOGIN, self.show, include_in_schema=False),
            Endpoint("POST", session.LOGIN, self.log_in, include_in_schema=False),
            Endpoint("POST", LOGOUT, self.log_out, include_in_schema=False),
        ]

    def caller(self, request: Request) -> Caller | None:
        """Who looks at a page, if that is known."""
        try:
            return self.gate.caller(request.scope)
        except (Unauthorized, Insecure):
            return None

    async def show(self, request: Request) -> Response:
        """`GET /console/login`."""
        return self._page(request, back_to(request.query_params.get("next", "")))

    async def log_in(self, request: Request) -> Response:
        """`POST /console/login`: a token becomes the session of a browser."""
        self.gate.origins.check(request.scope, listed=False)
        form = decode_query((await fields(request)).items(), Form, "body")
        where = back_to(form.next)
        try:
            token = form.token.strip() or await self._token(request, form)
            seconds = int(self.gate.verified(token).expires - time.time())
            if len(token) > session.LONGEST:
                raise HTTPError(413, f"A token of {len(token):,} characters makes no session")
        except Insecure as error:
            return self._page(request, where, f"Nobody can log in here: {error}", 403)
        except HTTPError as error:
            return self._page(request, where, error.sentence, error.status)
        answer = RedirectResponse(f"{root(request)}{where}" or "./", 303)
        session.begin(answer, token, max(1, seconds), request.url.scheme == "https")
        return answer

    async def log_out(self, request: Request) -> Response:
        """`POST /console/logout`."""
        await own_form(request)
        answer = RedirectResponse(root(request), 303)
        session.end(answer)
        return answer

    async def _token(self, request: Request, form: Form) -> str:
        asked = Credentials(form.username[:64], form.password[:1024])
        found = await self.gate.login.token(asked, address(request.scope))
        return found.access_token

    def _page(
        self, request: Request, where: str, trouble: str = "", status: int = 200
    ) -> Response:
        way = root(request)
        values = {"root": way, "home": f"{way}console", "next": where, "trouble": trouble}
        return page("login.html", status, **values)


async def fields(request: Request) -> Mapping[str, str]:
    """The fields of a form, the last one of each name. Raises HTTPError 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read(request.scope, request.receive, LARGEST)
    if body and kind != FORM:
        raise UnsupportedBody(f"The body is {clip(kind) or 'of no type'}: send {FORM}")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def own_form(request: Request) -> Mapping[str, str]:
    """The fields of a form that a page of this session sent. Raises HTTPError 403."""
    found = dict(await fields(request))
    secret = found.pop("secret", "")
    by_header = "authorization" in request.headers  # no browser sends that by itself
    if not by_header and not session.is_own_form(request.scope, secret):
        raise HTTPError(403, "This form is of another session: open the page again")
    return found
