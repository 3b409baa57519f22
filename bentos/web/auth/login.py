"""`POST /auth/login`: a token for a user name and a password."""

import asyncio
from typing import Annotated

import msgspec
from limits import RateLimitItem
from starlette.requests import Request
from starlette.responses import Response

from bentos.web.auth.throttle import Throttle, address
from bentos.web.auth.tokens import Tokens
from bentos.web.auth.users import LONGEST, Users
from bentos.web.body import Decoder, read
from bentos.web.endpoint import Answer, Endpoint, Handler
from bentos.web.errors import JSON, Failure, HTTPError, Overloaded

PATH = "/auth/login"
LARGEST = 8192  # bytes
AT_ONCE = 2  # verifications; each takes 64 MiB and all cores for some 50 ms
WAITING = 100


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who wants to log in."""

    username: Annotated[str, msgspec.Meta(max_length=64)]
    password: Annotated[str, msgspec.Meta(max_length=LONGEST)]

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"


class Token(msgspec.Struct, frozen=True):
    """Send it as `Authorization: Bearer ...`."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - a kind, no secret


class Login:
    """Answers logins. Failures count, of one name and from one address."""

    def __init__(
        self, users: Users, tokens: Tokens, throttle: Throttle, failures: RateLimitItem
    ) -> None:
        self._users = users
        self._tokens = tokens
        self._throttle = throttle
        self._failures = failures
        self._decode: Decoder[Credentials] = Decoder(Credentials)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def log_in(self, request: Request) -> Response:
        """Answer one request."""
        asked = self._decode(await read(request.scope, request.receive, LARGEST))
        token = await self.token(asked, address(request.scope))
        headers = {"cache-control": "no-store"}
        return Response(msgspec.json.encode(token), headers=headers, media_type=JSON)

    async def token(self, asked: Credentials, where: str) -> Token:
        """A token for somebody who asks from an address. Raises HTTPError 401, 429 or 503."""
        if self._waiting >= WAITING:
            raise Overloaded("Too many wait to log in")
        self._waiting += 1
        try:
            async with self._turns:  # so that guesses made at once do not get past the count
                return await self._token(asked, where)
        finally:
            self._waiting -= 1

    async def _token(self, asked: Credentials, where: str) -> Token:
        counts = (("Failed logins of", asked.username), ("Failed logins from", where))
        for who in counts:
            await self._throttle.check(self._failures, *who)
        user = await self._users.verify(asked.username, asked.password)
        if user is None:
            for who in counts:
                await self._throttle.count(self._failures, *who)
            raise HTTPError(
                401, "The user name or the password is wrong", {"www-authenticate": "Bearer"}
            )
        return Token(self._tokens.issue(asked.username, user.mark, user.admin))


def endpoint(handler: Handler) -> Endpoint:
    """Where one logs in."""
    return Endpoint(
        "POST",
        PATH,
        handler,
        "A token for a user name and a password",
        {
            200: Answer("The token", Token),
            401: Answer("The user name or the password is wrong", Failure),
            429: Answer("Too many failed logins; Retry-After tells how long to wait", Failure),
        },
        body=Credentials,
        examples={"user": {"username": "ana", "password": "a long sentence of yours"}},
    )
