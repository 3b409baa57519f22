"""Who calls a service, whether they may, and how often: a door before its routes.

On loopback every service goes by its own names only, and what changes something is closed to pages
of other origins. Which services want a token, and which of their paths are open, is configuration:
a token holds as long as its user does, with the same password; a demoted user's loses the scope
`admin` at once.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.settings import SecuritySettings, ServiceSettings, settings
from bentos.web.auth.login import LOGIN, Login
from bentos.web.auth.throttle import Throttle, address, rate
from bentos.web.auth.tokens import ADMIN, Insecure, Tokens, Unauthorized
from bentos.web.auth.users import User, UserFile, Users
from bentos.web.cors import Origins
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure, HTTPError
from bentos.web.headers import first
from bentos.web.hosts import Hosts
from bentos.web.metrics import REQUESTS

Place = tuple[str, str]  # method and path, such as ("POST", "/jobs/{id}")
Places = Iterable[Place]
RELOAD = ("POST", "/reload")


class Forbidden(HTTPError):
    """A good token, but not of an admin."""

    def __init__(self, detail: str) -> None:
        challenge = f'Bearer error="insufficient_scope", scope="{ADMIN}"'
        super().__init__(403, detail, {"www-authenticate": challenge})


class Caller(SimpleUser):
    """Whose token came with a request; `scope["user"]`."""

    def __init__(self, name: str, admin: bool) -> None:
        super().__init__(name)
        self.admin = admin


class Gate:
    """What all guards of a process share."""

    def __init__(
        self,
        security: SecuritySettings,
        home: Path,
        services: ServiceSettings = ServiceSettings(),  # noqa: B008 - frozen
    ) -> None:
        configured = {name: User(user.hash, user.admin) for name, user in security.users.items()}
        self.security = security
        self.hosts = Hosts(services.hosts)
        self.origins = Origins(services.cors_origins)
        self.users = Users(configured, UserFile(home / "users.json"))
        self.throttle = Throttle(security.rate_url.get_secret_value())
        self._failures = rate(security.login_rate, "security.login_rate")

    def caller(self, scope: Scope) -> Caller:
        """Whose token came with a request. Raises Unauthorized, or Insecure without a key."""
        claims = self.tokens.read(_token(scope))
        user = self.users.get(claims.sub)
        if user is None or user.mark != claims.mark:
            raise Unauthorized(
                f"{claims.sub} was removed or has another password now: log in again",
                "invalid_token",
            )
        return Caller(claims.sub, claims.admin and user.admin)

    def is_admin(self, scope: Scope) -> bool:
        """Whether a request brought the token of an admin."""
        try:
            return self.caller(scope).admin
        except (Unauthorized, Insecure):
            return False

    @cached_property
    def tokens(self) -> Tokens:
        """Raises Insecure when there is no good key."""
        return Tokens(self.security)

    @cached_property
    def login(self) -> Login:
        """What gives tokens."""
        return Login(self.users, self.tokens, self.throttle, self._failures)


@cache
def gate() -> Gate:
    """The gate of this process."""
    return Gate(settings().security, settings().home, settings().services)


class Guard:
    """The door of one service. `writes` are the places that change something.

    Where the service is guarded, they need the scope `admin`. `keyed` are those of them that want
    the admin key or the token of an admin even where it is not.

    A key is needed when the service starts, not before: `check`. Raises ValueError for a bad rate.
    """

    def __init__(self, service: str, gate: Gate, writes: Places = (), keyed: Places = ()) -> None:
        security = gate.security
        self.routes: list[BaseRoute] = []
        self._service = service
        self._gate = gate
        self._guarded = service in security.guarded
        self._writes, self._keyed = _Set(writes), _Set(keyed)
        self._free = security.open.get("default", [])
        self._open = [*self._free, *security.open.get(service, [])]
        limit = security.rate_limit
        self._limit = rate(limit, "security.rate_limit") if limit else None
        if self._guarded:
            self.routes.append(Route(LOGIN.path, self._log_in, methods=["POST"]))

    def check(self) -> None:
        """Raise Insecure when the service wants tokens and there is no key."""
        if not self._guarded:
            return
        try:
            _ = self._gate.login
        except Insecure as error:
            raise Insecure(
                f"{self._service} must not run open (security.guarded): {error}"
            ) from None

    async def _log_in(self, request: Request) -> Response:
        return await self._gate.login.log_in(request)

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app` behind this door."""

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await self.admit(scope)
            except HTTPError as error:
                REQUESTS.labels(self._service, "refused", error.status).inc()
                await error.answer(send)
            else:
                await app(scope, receive, send)

        return behind

    async def admit(self, scope: Scope) -> None:
        """Raise HTTPError 401, 403 or 429."""
        if scope["type"] != "http":
            return
        self._gate.hosts.check(scope)
        path, method = inside(scope), scope["method"]
        writes = (method, path) in self._writes
        if writes or path == LOGIN.path:
            self._gate.origins.check(scope)
        caller = None
        if self._guarded and not _matches(path, self._open):
            scope["user"] = caller = self._gate.caller(scope)
            if writes and not caller.admin:
                raise Forbidden(
                    f"{method} {path} needs the scope {ADMIN}, which {caller.username} has not"
                )
        if self._limit and not _matches(path, self._free):
            who = ("Calls of", caller.username) if caller else ("Calls from", address(scope))
            await self._gate.throttle.hit(self._limit, *who)

    @property
    def openness(self) -> str:
        """What is open to whoever reaches the service, for the log of the start."""
        if self._guarded:
            return f"{self._service} wants a token, except at {', '.join(self._open)}"
        told = f"{self._service} wants no token: whoever reaches it may call it"
        if free := [place for place in self._writes.places if place not in self._keyed.places]:
            told += f", {_listed(free)} too"
        if self._keyed.places:
            told += f"; the admin key or the token of an admin opens {_listed(self._keyed.places)}"
        return told

    def told(self, operations: Iterable[Operation]) -> list[Operation]:
        """The operations as they are behind this door, and the login."""
        return [*map(self._told, operations), *([LOGIN] if self._guarded else [])]

    def _told(self, operation: Operation) -> Operation:
        place, answers = (operation.method, operation.path), dict(operation.answers)
        if not self._guarded and place in self._keyed:
            answers.setdefault(401, Answer("It wants X-Admin-Key, or an admin's token", Failure))
            return replace(operation, answers=answers)
        if not self._guarded or _matches(operation.path, self._open):
            return operation
        answers.setdefault(401, Answer("No token, or one that is not good here", Failure))
        if place in self._writes:
            answers[403] = Answer(f"The token has not the scope {ADMIN}", Failure)
        return replace(operation, bearer=True, answers=answers)


class _Set:
    """Places; those that a request may be at are in it."""

    def __init__(self, places: Places) -> None:
        self.places = list(places)
        self._compiled = [(method, compile_path(path)[0]) for method, path in self.places]

    def __contains__(self, place: Place) -> bool:
        method, path = place
        return any(method == needed and where.match(path) for needed, where in self._compiled)


def _listed(places: Places) -> str:
    return ", ".join(f"{method} {path}" for method, path in places)


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


def _token(scope: Scope) -> str:
    scheme, _, token = first(scope, b"authorization").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    raise Unauthorized(f"A token is needed: POST {LOGIN.path} gives one")
