"""Who may call, who may log in, what only admins may do."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, SecretStr, field_validator

from bentos.settings.section import Section

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class UserSettings(Section):
    """Who may log in: the argon2 hash of the password."""

    hash: str = Field(pattern=r"^\$argon2id\$", repr=False)
    admin: bool = False


class IssuerSettings(Section):
    """Whose tokens hold beside our own: what they must say, and of whom.

    `callers` and `admins` are claims, with the values of which one is enough.
    """

    audience: str
    keys_url: str = ""  # none: as its /.well-known/openid-configuration says
    name: str = "sub"
    callers: dict[str, list[str]] = {}  # none: everybody with a token
    admins: dict[str, list[str]] = {}

    @field_validator("keys_url")
    @classmethod
    def _safe(cls, url: str) -> str:
        return _confidential(url) if url else url


class SecuritySettings(Section):
    """Who may call, and how often."""

    guarded: list[str] = ["keras_api"]
    open: dict[str, list[str]] = {
        "default": [
            *("/docs", "/docs/assets/*", "/redoc", "/openapi.json", "/auth/login"),
            *("/livez", "/readyz", "/health", "/metrics", "/hooks/mlflow"),
            *("/releases", "/history"),
        ],
        "keras_api": ["/stats", "/models"],
    }
    algorithm: Literal["HS256", "RS256", "EdDSA"] = "HS256"
    secret: SecretStr = SecretStr("")  # HS256
    key_file: Path | None = None  # RS256, EdDSA: a private key in PEM
    issuer: str = "ascenso"
    audience: str = "ascenso"
    token_minutes: PositiveFloat = 30.0
    issuers: dict[str, IssuerSettings] = {}  # by `iss`, an address
    leeway_seconds: Annotated[float, Field(ge=0)] = 5.0
    users: dict[str, UserSettings] = {}
    login_rate: str = "5/minute"
    rate_limit: str = ""
    rate_url: SecretStr = SecretStr("")  # Redis; none: in each process

    @field_validator("issuers")
    @classmethod
    def _safe(cls, issuers: dict[str, IssuerSettings]) -> dict[str, IssuerSettings]:
        for url in issuers:
            _confidential(url)
        return issuers


def _confidential(url: str) -> str:
    """An address that nobody on the way can answer for: who does could sign tokens."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return url
    raise ValueError(f"{url} must begin with https://")


class AdminSettings(Section):
    """What wants the admin key or the token of an admin. Clearing everything wants the key."""

    protects: list[Literal["deletes", "uploads", "training"]] = ["deletes", "uploads", "training"]
