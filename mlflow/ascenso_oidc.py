"""Tokens of a company's login, as names of MLflow's users (OpenID Connect Core 1.0, RFC 7517).

A proxy before the server, such as oauth2-proxy, hands on the ID token of whoever logged in. No
header is believed for where it comes from: each token is checked with the keys that its issuer
publishes. Only those whom `sso` of accounts.yaml names may come so; a name that a stranger took
there, `admin` or `service`, opens nothing.

  ASCENSO_OIDC_ISSUER     such as https://login.example.com/realms/ml; none: no token opens
  ASCENSO_OIDC_AUDIENCE   whom a token must be for: the proxy's client
  ASCENSO_OIDC_NAME       the claim that is the user's name (email)
"""

import os
import time
from collections.abc import Collection
from functools import cache
from threading import Lock
from typing import Any

import httpx
import jwt

DISCOVERY = "/.well-known/openid-configuration"
ALGORITHMS = {"RSA": ["RS256", "RS384", "RS512", "PS256"], "EC": ["ES256", "ES384"],
              "OKP": ["EdDSA"]}  # fmt: skip
LONGEST = 16_384  # characters of a token
KEPT = 300.0  # seconds for which keys are good without a look
SOON = 10.0  # and between looks for a key that is not known
TIMEOUT = 5.0
LEEWAY = 5.0


class Refused(Exception):
    """The token opens nothing here; the message says why."""


class Issuer:
    """One, and the keys that it publishes."""

    def __init__(self, url: str, audience: str, claim: str) -> None:
        self._url = url
        self._audience = audience
        self._claim = claim
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._looked = -KEPT
        self._lock = Lock()

    def user(self, token: str, allowed: Collection[str]) -> str:
        """Whose a token is. Raises Refused."""
        if len(token) > LONGEST:
            raise Refused("it is too long")
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS[str(key.key_type)],
                audience=self._audience,
                issuer=self._url,
                leeway=LEEWAY,
                options={"require": ["iss", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from None
        name = claims.get(self._claim)
        if claims.get("email_verified") is False and self._claim == "email":
            raise Refused("its address is not verified")
        if not isinstance(name, str) or name not in allowed:
            raise Refused(f"its {self._claim} is none of `sso` in accounts.yaml")
        return name

    def _key(self, kid: str | None) -> jwt.PyJWK:
        with self._lock:
            age = time.monotonic() - self._looked
            if age > (KEPT if kid in self._keys else SOON):
                self._look()
            if kid not in self._keys:
                raise Refused(f"its key is none that {self._url} publishes")
            return self._keys[kid]

    def _look(self) -> None:
        """Fetch the keys; while the issuer is away, those that are known are kept."""
        self._looked = time.monotonic()
        try:
            said = _fetched(self._url.rstrip("/") + DISCOVERY)
            if said["issuer"] != self._url:
                return
            found = jwt.PyJWKSet.from_dict(_fetched(str(said["jwks_uri"]))).keys
        except (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError, KeyError):
            return
        self._keys = {key.key_id: key for key in found if key.key_type in ALGORITHMS}


def _fetched(address: str) -> dict[str, Any]:
    answer = httpx.get(address, timeout=TIMEOUT, follow_redirects=False).raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


@cache
def issuer() -> Issuer | None:
    """The one that the environment names."""
    url = os.environ.get("ASCENSO_OIDC_ISSUER")
    if not url:
        return None
    claim = os.environ.get("ASCENSO_OIDC_NAME") or "email"
    return Issuer(url, os.environ["ASCENSO_OIDC_AUDIENCE"], claim)
