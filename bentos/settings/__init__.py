"""Settings: the YAML files of `configs/`, each value overridable by the environment.

`ASCENSO_LIMITS__BATCH_ROWS=64` replaces `limits: batch_rows`. Secrets that the environment has not
are those that the local stack made. An unknown key, or a value of the wrong kind, stops the start
with its name.
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from bentos.made_secrets import HOME, MadeSecrets
from bentos.memory import allowed
from bentos.settings.jobs import JobSettings, UploadSettings
from bentos.settings.promotion import (
    AdmissionSettings,
    CacheSettings,
    ChallengerSettings,
    Channel,
    LedgerSettings,
    PromotionSettings,
    RegistrySettings,
    Rules,
    WatchSettings,
)
from bentos.settings.recording import RecordingSettings, RecordSettings
from bentos.settings.relay import RelaySettings
from bentos.settings.security import AdminSettings, IssuerSettings, SecuritySettings
from bentos.settings.serving import (
    AnswerSettings,
    DriftSettings,
    GrpcSettings,
    LimitSettings,
    MetricsSettings,
    ModelSettings,
    ProcessSettings,
    ServiceSettings,
    TracingSettings,
)

__all__ = [
    "CONFIGS",
    "TRAINING",
    "AdminSettings",
    "AdmissionSettings",
    "AnswerSettings",
    "CacheSettings",
    "ChallengerSettings",
    "Channel",
    "DriftSettings",
    "GrpcSettings",
    "IssuerSettings",
    "JobSettings",
    "LedgerSettings",
    "LimitSettings",
    "MetricsSettings",
    "ModelSettings",
    "ProcessSettings",
    "PromotionSettings",
    "RecordSettings",
    "RecordingSettings",
    "RegistrySettings",
    "RelaySettings",
    "Rules",
    "SecuritySettings",
    "ServiceSettings",
    "Settings",
    "TracingSettings",
    "UploadSettings",
    "WatchSettings",
    "settings",
]  # fmt: skip

CONFIGS = Path(os.environ.get("ASCENSO_CONFIGS", Path(__file__).parents[2] / "configs"))
TRAINING = CONFIGS / "training.yaml"
T = TypeVar("T")


class Settings(BaseSettings):
    """Everything that may differ from one installation to the next."""

    model_config = SettingsConfigDict(
        env_prefix="ASCENSO_",
        env_nested_delimiter="__",
        yaml_file=[path for path in sorted(CONFIGS.glob("*.yaml")) if path != TRAINING],
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret; the message names the setting
    )

    home: Path = HOME
    mlflow_tracking_uri: Annotated[
        str | None, Field(validation_alias=AliasChoices("MLFLOW_TRACKING_URI"))
    ] = None
    webhook_secret: SecretStr = SecretStr("")  # none: /hooks/mlflow is off
    admin_key: SecretStr = SecretStr("")  # none: what wants it answers 401
    registry: RegistrySettings = RegistrySettings()
    relay: RelaySettings = RelaySettings()
    channels: dict[str, Channel] = {
        "default": Channel(stage="Production", aliases=["production", "champion"]),
        "prod.*": Channel(newest=True, aliases=["production", "champion"]),
    }
    challengers: dict[str, ChallengerSettings] = {"default": ChallengerSettings()}
    limits: LimitSettings = LimitSettings()
    services: ServiceSettings = ServiceSettings()
    grpc: GrpcSettings = GrpcSettings()
    models: ModelSettings = ModelSettings()
    processes: ProcessSettings = ProcessSettings()
    admission: AdmissionSettings = AdmissionSettings()
    promotion: PromotionSettings = PromotionSettings()
    ledger: LedgerSettings = LedgerSettings()
    cache: CacheSettings = CacheSettings()
    answers: AnswerSettings = AnswerSettings()
    drift: DriftSettings = DriftSettings()
    recording: RecordingSettings = RecordingSettings()
    security: SecuritySettings = SecuritySettings()
    jobs: JobSettings = JobSettings()
    uploads: UploadSettings = UploadSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    admin: AdminSettings = AdminSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the files."""
        files = YamlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, MadeSecrets(settings_cls), files

    @property
    def tracking_uri(self) -> str:
        """The address of the MLflow server, without a slash at its end."""
        return (self.mlflow_tracking_uri or self.registry.uri).rstrip("/")

    def channel(self, model: str) -> Channel:
        """The channel that the slot of this registered model follows."""
        return _of(model, self.channels, Channel(stage="Production"))

    def challenger(self, model: str) -> ChallengerSettings:
        """How the challenger of this registered model is tried."""
        return _of(model, self.challengers, ChallengerSettings())

    def recorded(self, model: str) -> RecordSettings:
        """What is kept of the calls to this registered model."""
        return _of(model, self.recording.models, RecordSettings())

    def check_recording(self) -> None:
        """Raise ValueError where what is to be recorded, or replayed, has no place or no key."""
        self.recording.check()
        if self.admission.replay and not self.recording.uri:
            raise ValueError(
                f"admission.replay is {self.admission.replay!r}, but recording.uri says no place"
            )

    @property
    def open_bytes(self) -> int:
        """What the open models of one worker may take: half of the memory, shared by all workers.

        Unless `models.memory_mb` says it.
        """
        if self.models.memory_mb:
            return self.models.memory_mb * 2**20
        return allowed() // 2 // self.services.workers

    @property
    def version_mb(self) -> int:
        """What one version may take: each worker may hold three, and judging takes two.

        Those are the live one, the one before and the candidate. Unless `admission.memory_mb`
        says it.
        """
        share = allowed() // (3 * self.services.workers + 2)
        return self.admission.memory_mb or max(1, share // 2**20)

    def live_alias(self, model: str) -> str:
        """The alias that says which version of this registered model serves; none: no alias.

        Never one that is followed: where it points is for people to say.
        """
        alias = self.registry.live_alias
        channel = self.channel(model)
        followed = {channel.alias, *channel.aliases, self.challenger(model).alias}
        return "" if alias in followed else alias


def _of(model: str, known: Mapping[str, T], otherwise: T) -> T:
    """What is said of a model: by its name, by the first pattern that matches it, by default."""
    patterns = (name for name in known if name != "default" and fnmatchcase(model, name))
    return known[model] if model in known else known.get(next(patterns, "default"), otherwise)


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
