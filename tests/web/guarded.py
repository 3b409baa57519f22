"""Settings under which the small service wants a token."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bentos.settings import settings
from bentos.web.auth.guard import gate
from bentos.web.auth.users import UserFile

PASSWORD = "correct horse battery"


@contextmanager
def secured(home: Path, **values: str) -> Iterator[UserFile]:
    """Guard `small` for apps made within; gives the file of its users.

    `values` are settings of the section security, such as `login_rate`.
    """
    told = {"guarded": '["small"]', "secret": secrets.token_hex(32)} | values
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASCENSO_HOME", str(home))
        for name, value in told.items():
            patch.setenv(f"ASCENSO_SECURITY__{name.upper()}", value)
        _forget()
        try:
            yield UserFile(home / "users.json")
        finally:
            _forget()


def _forget() -> None:
    settings.cache_clear()
    gate.cache_clear()


def login(url: str, name: str = "ana", password: str = PASSWORD) -> httpx.Response:
    asked = {"username": name, "password": password}
    return httpx.post(f"{url}/auth/login", json=asked, timeout=60)


def bearer(url: str, name: str = "ana") -> dict[str, str]:
    """The header of a user who logs in."""
    answer = login(url, name).raise_for_status()
    return {"authorization": f"Bearer {answer.json()['access_token']}"}
