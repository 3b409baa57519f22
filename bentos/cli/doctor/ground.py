"""What the checks stand on: the settings, the secrets, and who is asked."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dotenv import dotenv_values

from bentos.promotion.channel import resolve
from bentos.registry.entities import Model
from bentos.registry.runs import Runs
from bentos.settings import Settings
from bentos.version import Version

SECRETS = "secrets.env"  # which `make up` makes


@dataclass(frozen=True)
class Ground:
    """The settings, and the addresses of the registry and of the services."""

    settings: Settings
    registry_uri: str
    services: str

    @property
    def secrets(self) -> Path:
        """The file of secrets of the local stack, which there may not be."""
        return self.settings.home / SECRETS

    @cached_property
    def _kept(self) -> dict[str, str]:
        if not self.secrets.is_file():
            return {}
        kept = dotenv_values(self.secrets, interpolate=False)
        return {name: value for name, value in kept.items() if value}

    def known(self, name: str) -> str:
        """A variable of the environment, or else of the local stack."""
        return os.environ.get(name) or self._kept.get(name, "")

    @property
    def is_local(self) -> bool:
        """Whether the keys for S3 are those that `make up` made, for its own server."""
        return not os.environ.get("AWS_ACCESS_KEY_ID") and "AWS_ACCESS_KEY_ID" in self._kept

    @property
    def s3(self) -> str:
        """The address of the S3 server; nothing for Amazon's."""
        local = f"http://127.0.0.1:{os.environ.get('ASCENSO_S3_PORT', '9000')}"
        return os.environ.get("AWS_ENDPOINT_URL", "") or (local if self.is_local else "")

    @cached_property
    def registry(self) -> Runs:
        """The MLflow server. Raises AccessError."""
        return Runs(self.registry_uri, self.settings.registry.timeout_seconds)

    def close(self) -> None:
        """Close the connections that were opened."""
        if "registry" in vars(self):
            self.registry.http.close()

    @cached_property
    def models(self) -> dict[str, Model]:
        """Every registered model. Raises what `Registry` raises."""
        return self.registry.models()

    @cached_property
    def promoted(self) -> list[Version]:
        """The versions that channels point to, as far as one call tells. Raises as `Registry`."""
        found = [(model.name, self._pointed(model)) for model in self.models.values()]
        return [self.registry.version(name, number) for name, number in found if number]

    def _pointed(self, model: Model) -> str | None:
        channel = self.settings.channel(model.name)
        return resolve(model, channel, lambda: model.latest_versions).target
