"""Who calls a service, whether they may, and how often: a door before its routes.

On loopback every service goes by its own names only, and what changes something is closed to pages
of other origins. Which services want a token, and which of their paths are open, is configuration:
a token holds as long as its user does, with the same password; a demoted user's loses the scope
`admin` at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.web.auth import login, session
from bentos.web.auth.gate import Caller, Gate
from bentos.web.auth.throttle import address, rate
from bentos.web.auth.tokens import ADMIN, Insecure, Unauthorized
from bentos.web.endpoint import Access, Answer, Endpoint
from bentos.web.errors import Failure, HTTPError, Refused
from bentos.web.metrics import REQUESTS

PLACES, LONG = 1024, 256  # so many paths' rules are remembered, if they are no longer than that


class Forbidden(HTTPError):
    """A good token, but not of an admin."""

    def __init__(self, detail: str) -> None:
        challenge = f'Bearer error="insufficient_scope", scope="{ADMIN}"'
        super().__init__(403, detail, {"www-authenticate": challenge})


class _Rules(NamedTuple):
    """What holds at a method and path."""

    writes: bool
    signed: bool  # a caller must say who he is
    own_pages: bool  # closed to pages of other origins
    limited: bool


class Guard:
    """The door of one service: who may call its endpoints, from which pages, and how often.

    A key is needed when the service starts, not before: `check`. Raises ValueError for a bad rate.
    """

    def __init__(self, service: str, gate: Gate, endpoints: Sequence[Endpoint]) -> None:
        security = gate.security
        self._service = service
        self._gate = gate
        self.guarded = service in security.guarded
        self._writes = _Places(one for one in endpoints if one.access != "callers")
        self._free = security.open.get("default", [])
        self._signed = _Places(one for one in endpoints if one.access == "token")
        self._open = [*self._free, *security.open.get(service, []), *session.OPEN]
        limit = security.rate_limit
        self._limit = rate(limit, "security.rate_limit") if limit else None
        self._ruled = lru_cache(PLACES)(self._rules)
        logins = [login.endpoint(self._log_in)] if self.guarded else []
        self.endpoints = [*map(self._seen, endpoints), *logins]

    def check(self) -> None:
        """Raise Insecure when the service wants tokens and there is no key."""
        if not self.guarded:
            return
        try:
            _ = self._gate.login
        except Insecure as error:
            raise Insecure(
                f"{self._service} must not run open (security.guarded): {error}"
            ) from None

    def start(self) -> None:
        """Begin to look at what tokens are checked with."""
        self._gate.issuers.start()

    async def _log_in(self, request: Request) -> Response:
        return await self._gate.login.log_in(request)

    def around(self, app: ASGIApp, refused: Refused) -> ASGIApp:
        """`app` behind this door; pages of the listed origins may call it.

        `refused` has an error in the form that callers of a path know.
        """

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await self.admit(scope)
            except HTTPError as error:
                REQUESTS.add((self._service, "refused", str(error.status)))
                status, headers, body = refused(scope, error)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            else:
                await app(scope, receive, send)

        return self._gate.origins.open_to(behind)

    async def admit(self, scope: Scope) -> None:
        """Raise HTTPError 401, 403 or 429."""
        if scope["type"] != "http":
            return
        self._gate.hosts.check(scope)
        path, method = inside(scope), scope["method"]
        rules = (self._ruled if len(path) < LONG else self._rules)(method, path)
        if rules.own_pages:
            self._gate.origins.check(scope)
        caller = None
        if rules.signed:
            scope["user"] = caller = self._caller(scope)
            if rules.writes and not caller.admin:
                raise Forbidden(
                    f"{method} {path} needs the scope {ADMIN}, which {caller.username} has not"
                )
        if rules.limited and self._limit:
            who = ("Calls of", caller.username) if caller else ("Calls from", address(scope))
            await self._gate.throttle.hit(self._limit, *who)

    def _rules(self, method: str, path: str) -> _Rules:
        writes = (method, path) in self._writes
        signed = (method, path) in self._signed
        return _Rules(
            writes,
            signed or (self.guarded and not _matches(path, self._open)),
            writes or path in (login.PATH, session.LOGIN),
            self._limit is not None and not _matches(path, self._free),
        )

    def _caller(self, scope: Scope) -> Caller:
        try:
            return self._gate.caller(scope)
        except Insecure as error:  # of a service that wants no tokens else
            raise HTTPError(403, f"Nobody can log in here: {error}") from None

    def lets_in(self, scope: Scope) -> bool:
        """Whether somebody may see the console of the service."""
        if not self.guarded or _matches("/", self._open):
            return True
        try:
            return bool(self._gate.caller(scope))
        except Unauthorized:
            return False

    @property
    def openness(self) -> str:
        """What is open to whoever reaches the service, for the log of the start."""
        if self.guarded:
            return f"{self._service} wants a token, except at {', '.join(self._open)}"
        said = f"{self._service} wants no token: whoever reaches it may call it"
        if free := self._writes.named("admins"):
            said += f", {free} too"
        if keyed := self._writes.named("key"):
            said += f"; the admin key or the token of an admin opens {keyed}"
        return said

    def _seen(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint as it is behind this door."""
        answers = dict(endpoint.answers)
        if not self.guarded and endpoint.access == "key":
            answers.setdefault(401, Answer("It wants X-Admin-Key, or an admin's token", Failure))
            return replace(endpoint, answers=answers)
        if not self.guarded or _matches(endpoint.path, self._open):
            return endpoint
        answers.setdefault(401, Answer("No token, or one that is not good here", Failure))
        if endpoint.access != "callers":
            answers[403] = Answer(f"The token has not the scope {ADMIN}", Failure)
        return replace(endpoint, bearer=True, answers=answers)


class _Places:
    """Where endpoints are: it contains the methods and paths that lead to one."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._endpoints = list(endpoints)
        self._compiled = [(one.method, compile_path(one.path)[0]) for one in self._endpoints]

    def __contains__(self, place: tuple[str, str]) -> bool:
        method, path = place
        method = "GET" if method == "HEAD" else method  # Starlette's routes answer both
        return any(method == needed and where.match(path) for needed, where in self._compiled)

    def named(self, access: Access) -> str:
        """Those of one kind, as `POST /train, DELETE /jobs/{job_id}`."""
        places = [f"{one.method} {one.path}" for one in self._endpoints if one.access == access]
        return ", ".join(dict.fromkeys(places))


def inside(scope: Scope) -> str:
    """The path within the app, whatever it is mounted under."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is one of these; `/docs/*` is all below `/docs`."""
    return any(
        path.startswith(pattern[:-1]) if pattern.endswith("/*") else path == pattern
        for pattern in patterns
    )
