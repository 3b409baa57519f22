"""The secrets that the local stack made: a source of settings after the environment."""

from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource, SettingsError

HOME = Path(".ascenso")


class MadeSecrets(PydanticBaseSettingsSource):
    """`secrets.env` in the home, which the first `make up` writes."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Its value, its key, and whether it is JSON."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """What the home's `secrets.env` has of the settings."""
        path = Path(self.current_state.get("home", HOME)) / "secrets.env"
        try:
            made = dotenv_values(path, interpolate=False)
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error}") from error
        found: dict[str, Any] = {
            name: made[f"ASCENSO_{name.upper()}"]
            for name in ("webhook_secret", "admin_key")
            if made.get(f"ASCENSO_{name.upper()}")
        }
        if secret := made.get("ASCENSO_SECURITY__SECRET"):
            found["security"] = {"secret": secret}
        return found
