"""JSON Web Tokens (RFC 7519) that say who calls, signed with one algorithm and no other."""

import time
from typing import Any

import jwt
import msgspec
from cachetools import TLRUCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bentos.settings import SecuritySettings
from bentos.web.errors import HTTPError

ADMIN = "admin"
SHORTEST = 32  # bytes of a secret: as many as the hash has, RFC 7518 section 3.2
SHORTEST_RSA = 2048  # bits, RFC 7518 section 3.3
REMEMBERED = 10_000
LONGEST = 4096  # characters of a token; ours have some 300
CLAIMS = ("iss", "aud", "sub", "iat", "nbf", "exp", "mark")


class Insecure(ValueError):
    """The configuration has no key, or one that is too weak."""


class Unauthorized(HTTPError):
    """No token, or one that is not good here (RFC 6750)."""

    def __init__(self, detail: str, error: str = "") -> None:
        challenge = f'Bearer error="{error}"' if error else "Bearer"
        super().__init__(401, detail, {"www-authenticate": challenge})


class Claims(msgspec.Struct, frozen=True):
    """What a token says: whose it is, what for, until when, and for which password."""

    sub: str
    mark: str
    exp: float
    scope: str = ""

    @property
    def admin(self) -> bool:
        """Whether it may be used for what changes state."""
        return ADMIN in self.scope.split()


class Tokens:
    """Issues and reads tokens. Raises Insecure when the settings have no good key."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._settings = settings
        self._signing, self._checking = _keys(settings)
        # Checking a signature takes some 100 us; a token is good or not until it expires.
        self._good: TLRUCache[str, Claims] = TLRUCache(
            REMEMBERED, ttu=lambda _, claims, __: claims.exp, timer=time.time
        )

    def issue(self, name: str, mark: str, admin: bool) -> str:
        """A token, good from now for `token_minutes`."""
        now = int(time.time())
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": name,
            "scope": ADMIN if admin else "",
            "mark": mark,
            "iat": now,
            "nbf": now,
            "exp": now + round(self._settings.token_minutes * 60),
        }
        return jwt.encode(claims, self._signing, self._settings.algorithm)

    def read(self, token: str) -> Claims:
        """What a token says. Raises Unauthorized for one that is expired, forged or of others."""
        if known := self._good.get(token):
            return known
        if len(token) > LONGEST:
            raise _invalid(f"it has {len(token):,} characters")
        try:
            claims = jwt.decode(
                token,
                self._checking,
                algorithms=[self._settings.algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={"require": list(CLAIMS)},
            )
            self._good[token] = known = msgspec.convert(claims, Claims)
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired: log in again", "invalid_token") from None
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise _invalid(str(error)) from None
        return known


def _invalid(why: str) -> Unauthorized:
    return Unauthorized(f"The token is not good here: {why}", "invalid_token")


def _keys(settings: SecuritySettings) -> tuple[Any, Any]:
    """What signs, and what checks."""
    if settings.algorithm == "HS256":
        secret = settings.secret.get_secret_value().encode()
        _check_secret(secret)
        return secret, secret
    private = _private_key(settings)
    return private, private.public_key()


def _check_secret(secret: bytes) -> None:
    if len(secret) < SHORTEST:
        raise Insecure(
            f"security.secret has {len(secret)} bytes, and HS256 needs {SHORTEST} or more: start "
            "the local stack once (`make up` makes one), or set ASCENSO_SECURITY__SECRET; "
            "`python -c 'import secrets; print(secrets.token_hex(32))'` makes one, too"
        )


def _private_key(settings: SecuritySettings) -> RSAPrivateKey | Ed25519PrivateKey:
    path, algorithm = settings.key_file, settings.algorithm
    if path is None:
        raise Insecure(f"security.key_file is not set, and {algorithm} needs a private key in PEM")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise Insecure(f"security.key_file {path} cannot be used: {error}") from None
    wanted = RSAPrivateKey if algorithm == "RS256" else Ed25519PrivateKey
    if not isinstance(key, wanted):
        raise Insecure(f"security.key_file {path} is no key for {algorithm}")
    if isinstance(key, RSAPrivateKey) and key.key_size < SHORTEST_RSA:
        raise Insecure(
            f"security.key_file {path} has {key.key_size} bits: RS256 needs {SHORTEST_RSA} or more"
        )
    return key
