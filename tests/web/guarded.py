"""Settings under which the small service wants a token."""

import secrets
from pathlib import Path
from typing import Any

import httpx

from bentos.settings import Settings
from bentos.web.auth.users import UserFile

PASSWORD = "correct horse battery"


def secured(home: Path, **security: Any) -> Settings:
    """Settings that guard `small`; `security` are more of that section, such as `login_rate`."""
    values = {"guarded": ["small"], "secret": secrets.token_hex(32)} | security
    return Settings.model_validate({"home": home, "security": values})


def users_of(settings: Settings) -> UserFile:
    return UserFile(settings.home / "users.json")


def login(url: str, name: str = "ana", password: str = PASSWORD) -> httpx.Response:
    asked = {"username": name, "password": password}
    return httpx.post(f"{url}/auth/login", json=asked, timeout=60)


def bearer(url: str, name: str = "ana") -> dict[str, str]:
    """The header of a user who logs in."""
    answer = login(url, name).raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}
