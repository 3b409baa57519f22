"""Who calls a service, whether they may, and how often: a door before its routes.

A token holds as long as its user does, with the same password; a demoted user's loses the scope
`admin` at once. Which services want a token, and which of their paths are open, is configuration.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

from starlette.authentication import SimpleUser
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.settings import SecuritySettings, settings
from bentos.web.auth.login import LOGIN, Login
from bentos.web.auth.throttle import Throttle, address, rate
from bentos.web.auth.tokens import ADMIN, Insecure, Tokens, Unauthorized
from bentos.web.auth.users import User, UserFile, Users
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure, HTTPError
from bentos.web.metrics import REQUESTS

Places = Iterable[tuple[str, str]]  # method and path, such as ("POST", "/jobs/{id}")


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

    def __init__(self, security: SecuritySettings, home: Path) -> None:
        configured = {name: User(user.hash, user.admin) for name, user in security.users.items()}
        self.security = security
        self.users = Users(configured, UserFile(home / "users.json"))
        self.throttle = Throttle(security.rate_url.get_secret_value())

    @cached_property
    def tokens(self) -> Tokens:
        """Raises Insecure when there is no good key."""
        return Tokens(self.security)

    @cached_property
    def login(self) -> Login:
        """What gives tokens."""
        failures = rate(self.security.login_rate, "security.login_rate")
        return Login(self.users, self.tokens, self.throttle, failures)


@cache
def gate() -> Gate:
    """The gate of this process."""
    return Gate(settings().security, settings().home)


class Guard:
    """The door of one service. `admin` are the places that need the scope `admin`.

    Raises Insecure when the service wants tokens and there is no key, ValueError for a bad rate.
    """

    def __init__(self, service: str, gate: Gate, admin: Places = ()) -> None:
        security = gate.security
        self.routes: list[BaseRoute] = []
        self._service = service
        self._gate = gate
        self._guarded = service in security.guarded
        self._admin = [(method, compile_path(path)[0]) for method, path in admin]
        self._free = security.open.get("default", [])
        self._open = [*self._free, *security.open.get(service, [])]
        limit = security.rate_limit
        self._limit = rate(limit, "security.rate_limit") if limit else None
        if self._guarded:
            self.routes.append(Route(LOGIN.path, self._login().log_in, methods=["POST"]))

    def _login(self) -> Login:
        try:
            return self._gate.login
        except Insecure as error:
            raise Insecure(
                f"{self._service} must not run open (security.guarded): {error}"
            ) from None

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app` behind this door; itself where there is nothing to check."""
        if not self._guarded and not self._limit:
            return app

        async def behind(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await self.admit(scope)
            except HTTPError as error:
                status, headers, body = error.render()
                REQUESTS.labels(self._service, "refused", status).inc()
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
            else:
                await app(scope, receive, send)

        return behind

    async def admit(self, scope: Scope) -> None:
        """Raise HTTPError 401, 403 or 429."""
        if scope["type"] != "http":
            return
        path = inside(scope)
        who = ("Calls from", address(scope))
        if self._guarded and not _matches(path, self._open):
            scope["user"] = caller = self._caller(scope)
            if not caller.admin and self._needs_admin(scope["method"], path):
                raise Forbidden(
                    f"{scope['method']} {path} needs the scope {ADMIN}, "
                    f"which {caller.username} has not"
                )
            who = ("Calls of", caller.username)
        if self._limit and not _matches(path, self._free):
            await self._gate.throttle.hit(self._limit, *who)

    def told(self, operations: Iterable[Operation]) -> list[Operation]:
        """The operations as they are behind this door, and the login."""
        if not self._guarded:
            return list(operations)
        return [*map(self._told, operations), LOGIN]

    def _told(self, operation: Operation) -> Operation:
        if _matches(operation.path, self._open):
            return operation
        answers = dict(operation.answers)
        answers.setdefault(401, Answer("No token, or one that is not good here", Failure))
        if self._needs_admin(operation.method, operation.path):
            answers[403] = Answer(f"The token has not the scope {ADMIN}", Failure)
        return replace(operation, bearer=True, answers=answers)

    def _caller(self, scope: Scope) -> Caller:
        claims = self._gate.tokens.read(_token(scope))
        user = self._gate.users.get(claims.sub)
        if user is None or user.mark != claims.mark:
            raise Unauthorized(
                f"{claims.sub} was removed or has another password now: log in again",
                "invalid_token",
            )
        return Caller(claims.sub, claims.admin and user.admin)

    def _needs_admin(self, method: str, path: str) -> bool:
        return any(method == needed and where.match(path) for needed, where in self._admin)


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
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return str(token.strip())
    raise Unauthorized(f"A token is needed: POST {LOGIN.path} gives one")
