"""Who may call, who may log in, what only admins may do."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, SecretStr

from bentos.settings.section import Section


class UserSettings(Section):
    """Who may log in: the argon2 hash of the password."""

    hash: str = Field(pattern=r"^\$argon2id\$", repr=False)
    admin: bool = False


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
    leeway_seconds: Annotated[float, Field(ge=0)] = 5.0
    users: dict[str, UserSettings] = {}
    login_rate: str = "5/minute"
    rate_limit: str = ""
    rate_url: SecretStr = SecretStr("")  # Redis; none: in each process


class AdminSettings(Section):
    """What wants the admin key or the token of an admin. Clearing everything wants the key."""

    protects: list[Literal["deletes", "uploads", "training"]] = ["deletes", "uploads", "training"]
