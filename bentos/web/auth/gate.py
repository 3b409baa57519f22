"""What the guards of a process share: users, tokens, hosts, origins, rates."""

from functools import cached_property

from starlette.authentication import SimpleUser
from starlette.types import Scope

from bentos.settings import Settings
from bentos.web.auth import session
from bentos.web.auth.issuers import Issuers
from bentos.web.auth.login import PATH, Login
from bentos.web.auth.throttle import Throttle, rate
from bentos.web.auth.tokens import Insecure, Tokens, Unauthorized
from bentos.web.auth.users import User, UserFile, Users
from bentos.web.cors import Origins
from bentos.web.errors import HTTPError
from bentos.web.headers import first
from bentos.web.hooks import Deliveries
from bentos.web.hosts import Hosts


class Caller(SimpleUser):
    """Whose token came with a request, and when that expires; `scope["user"]`."""

    def __init__(self, name: str, admin: bool, expires: float) -> None:
        super().__init__(name)
        self.admin = admin
        self.expires = expires  # seconds since 1970


class Gate:
    """Who may call, by which names, from which pages. Raises ValueError for a bad rate."""

    def __init__(self, settings: Settings) -> None:
        security, services = settings.security, settings.services
        self.settings = settings
        configured = {name: User(user.hash, user.admin) for name, user in security.users.items()}
        self.security = security
        self.issuers = Issuers(security)
        self.hosts = Hosts(services.hosts)
        self.origins = Origins(services.cors_origins)
        self.users = Users(configured, UserFile(settings.home / "users.json"))
        self.throttle = Throttle(security.rate_url.get_secret_value())
        self.deliveries = Deliveries(settings.webhook_secret.get_secret_value())
        self._failures = rate(security.login_rate, "security.login_rate")

    def caller(self, scope: Scope) -> Caller:
        """Whose token came with a request, in its header or as a browser's session.

        Raises Unauthorized; Insecure where there is no key; HTTPError 403 for what a page of
        another origin makes a browser send.
        """
        if token := _bearer(scope):
            return self.verified(token)
        token = session.token(scope)
        if not token:
            raise Unauthorized(f"A token is needed: POST {PATH} gives one")
        if scope.get("method") not in session.SAFE:
            self.origins.check(scope, listed=False)
        return self.verified(token)

    def verified(self, token: str) -> Caller:
        """Whose token this is, one of ours or of `security.issuers`.

        Raises as `caller`, and as `Issuers.member`.
        """
        if member := self.issuers.member(token):
            return Caller(member.name, member.admin, member.expires)
        claims = self.tokens.read(token)
        user = self.users.get(claims.sub)
        if user is None or user.mark != claims.mark:
            raise Unauthorized(
                f"{claims.sub} was removed or has another password now: log in again",
                "invalid_token",
            )
        return Caller(claims.sub, claims.admin and user.admin, claims.exp)

    @property
    def has_key(self) -> bool:
        """Whether tokens can be given and read."""
        try:
            return bool(self.tokens)
        except Insecure:
            return False

    def is_admin(self, scope: Scope) -> bool:
        """Whether a request brought the token of an admin."""
        try:
            return self.caller(scope).admin
        except (HTTPError, Insecure):
            return False

    @cached_property
    def tokens(self) -> Tokens:
        """Raises Insecure when there is no good key."""
        return Tokens(self.security)

    @cached_property
    def login(self) -> Login:
        """What gives tokens."""
        return Login(self.users, self.tokens, self.throttle, self._failures)


def _bearer(scope: Scope) -> str:
    scheme, _, token = first(scope, b"authorization").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
