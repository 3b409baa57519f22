"""Tokens of others' issuers, such as a company's own (OpenID Connect Core 1.0, RFC 7517).

An issuer publishes the keys that its tokens are signed with. They are fetched in the background,
so that no call waits for it, and kept while it cannot be reached.
"""

import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
from cachetools import TLRUCache

from bentos.loop import Loop
from bentos.settings import IssuerSettings, SecuritySettings
from bentos.web.auth.tokens import Unauthorized
from bentos.web.errors import HTTPError, Unavailable

DISCOVERY = "/.well-known/openid-configuration"
# By the type of a key (RFC 7518). None that a secret signs with: what is published would be the
# secret.
ALGORITHMS = {
    "RSA": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    "EC": ["ES256", "ES384", "ES512"],
    "OKP": ["EdDSA"],
}
LONGEST = 16_384  # characters of a token; one with a hundred groups has some 6,000
LONGEST_NAME = 254  # of an e-mail address
REMEMBERED = 10_000
REFRESHED = 300.0  # seconds between looks at the keys
SOON = 10.0  # and for an unknown key: not sooner after the last one
TIMEOUT = 10.0
FAILURES = (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWKSetError, ValueError, KeyError)


class Member:
    """Whose token it is, for an issuer of others."""

    def __init__(self, name: str, admin: bool, expires: float) -> None:
        self.name = name
        self.admin = admin
        self.expires = expires


class Issuers:
    """Those that `security.issuers` names."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._issuers = {
            url: Issuer(url, one, settings.leeway_seconds) for url, one in settings.issuers.items()
        }
        self._good: TLRUCache[str, Member] = TLRUCache(
            REMEMBERED, ttu=lambda _, member, __: member.expires, timer=time.time
        )
        self._started = False

    def start(self) -> None:
        """Begin to look at their keys."""
        if not self._started:
            self._started = True
            for issuer in self._issuers.values():
                issuer.loop.start()

    def member(self, token: str) -> Member | None:
        """Whose a token is, or None for one of no issuer here.

        Raises Unauthorized, HTTPError 403 for one who may not call, and Unavailable.
        """
        if not self._issuers or len(token) > LONGEST:
            return None
        if known := self._good.get(token):
            return known
        self.start()
        issuer = self._issuers.get(_issuer(token))
        if issuer is None:
            return None
        self._good[token] = known = issuer.member(token)
        return known


class Issuer:
    """One, and its keys, by their ids."""

    def __init__(self, url: str, settings: IssuerSettings, leeway: float) -> None:
        self._url = url
        self._settings = settings
        self._leeway = leeway
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._looked = 0.0
        self.loop = Loop(
            f"the keys of {url}",
            self.look,
            lambda failures: REFRESHED if not failures else min(SOON, 2.0**failures),
            FAILURES,
            "tokens are checked with the keys that are known",
        )

    def look(self) -> None:
        """Fetch the keys. Raises `FAILURES`."""
        self._looked = time.monotonic()
        address = self._settings.keys_url or self._discovered()
        found = jwt.PyJWKSet.from_dict(_fetched(address)).keys
        self._keys = {key.key_id: key for key in found if key.key_type in ALGORITHMS}

    def member(self, token: str) -> Member:
        """Whose token it is. Raises as `Issuers.member`."""
        try:
            key = self._key(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS[str(key.key_type)],
                audience=self._settings.audience,
                issuer=self._url,
                leeway=self._leeway,
                options={"require": ["iss", "aud", "exp", "iat"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired: log in again", "invalid_token") from None
        except jwt.PyJWTError as error:
            raise _invalid(str(error)) from None
        return self._known(claims)

    def _key(self, token: str) -> jwt.PyJWK:
        if not self._keys:
            raise Unavailable(f"The keys of {self._url} cannot be had: {self.loop.trouble}")
        named = jwt.get_unverified_header(token).get("kid")
        key = self._keys.get(named)
        if key is None and named is None and len(self._keys) == 1:
            key = next(iter(self._keys.values()))
        if key is None:
            if time.monotonic() - self._looked > SOON:
                self.loop.wake()
            raise _invalid(f"{self._url} publishes no key {str(named)[:100]!r}")
        return key

    def _known(self, claims: Mapping[str, Any]) -> Member:
        settings = self._settings
        name = claims.get(settings.name)
        if (
            not isinstance(name, str)
            or not name.isprintable()
            or not 0 < len(name) <= LONGEST_NAME
        ):
            raise _invalid(f"its claim {settings.name} names nobody")
        if settings.callers and not _has(claims, settings.callers):
            wanted = " or ".join(f"{key} {values}" for key, values in settings.callers.items())
            raise HTTPError(403, f"{name} may not call: the token wants {wanted}")
        return Member(name, _has(claims, settings.admins), float(claims["exp"]))

    def _discovered(self) -> str:
        said = _fetched(self._url.rstrip("/") + DISCOVERY)
        if said["issuer"] != self._url:
            raise ValueError(f"{DISCOVERY} there is of {said['issuer']!r}")
        return str(said["jwks_uri"])


def _fetched(address: str) -> dict[str, Any]:
    answer = httpx.get(address, timeout=TIMEOUT, follow_redirects=False).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _issuer(token: str) -> str:
    """Whose the token says that it is; nobody may believe it yet."""
    try:
        said = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        return ""
    return said if isinstance(said, str) else ""


def _has(claims: Mapping[str, Any], wanted: Mapping[str, list[str]]) -> bool:
    """Whether a claim has one of the values; `a.b` is the claim `b` within `a`."""
    return any(set(values) & _values(claims, path) for path, values in wanted.items())


def _values(claims: Mapping[str, Any], path: str) -> set[str]:
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return set(found.split())  # as `scope` is, RFC 8693 section 4.2
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()


def _invalid(why: str) -> Unauthorized:
    return Unauthorized(f"The token is not good here: {why}", "invalid_token")
