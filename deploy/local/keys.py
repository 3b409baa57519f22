"""`secrets.env`: the keys that the first start makes and that no later start changes."""

import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from dotenv import dotenv_values

MAKERS: Mapping[str, Callable[[], str]] = {
    "AWS_ACCESS_KEY_ID": lambda: secrets.token_hex(10),
    "AWS_SECRET_ACCESS_KEY": lambda: secrets.token_hex(20),
    "ASCENSO_WEBHOOK_SECRET": lambda: secrets.token_hex(32),
    "ASCENSO_SECURITY__SECRET": lambda: secrets.token_hex(32),
    "ASCENSO_ADMIN_KEY": lambda: secrets.token_urlsafe(32),
    "ASCENSO_LOCAL_PASSWORD": lambda: secrets.token_urlsafe(18),
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": lambda: urlsafe_b64encode(
        secrets.token_bytes(32)  # a Fernet key
    ).decode(),
}


def ensure(path: Path, makers: Mapping[str, Callable[[], str]] = MAKERS) -> dict[str, str]:
    """Read the file (`NAME=value` lines), adding the keys that it lacks.

    The file is readable by its owner only, whatever it was before.
    """
    text = path.read_text() if path.exists() else ""
    missing = {name: make() for name, make in makers.items() if not _read(path).get(name)}
    if missing:
        lines = [*text.splitlines(), *(f"{name}={value}" for name, value in missing.items())]
        _write(path, "\n".join(lines) + "\n")
    path.chmod(0o600)
    return {name: value for name, value in _read(path).items() if value}


def _read(path: Path) -> dict[str, str | None]:
    return dotenv_values(path, interpolate=False) if path.exists() else {}


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
