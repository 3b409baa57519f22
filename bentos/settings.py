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
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from bentos.made_secrets import HOME, MadeSecrets
from bentos.memory import allowed

CONFIGS = Path(os.environ.get("ASCENSO_CONFIGS", Path(__file__).parents[1] / "configs"))
TRAINING = CONFIGS / "training.yaml"
T = TypeVar("T")
NEWEST = "newest version"


class Section(BaseModel):
    """One subject of the configuration: no key beyond its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Channel(Section):
    """What a slot follows: a stage, an alias, or the newest version.

    Of a model that has one of the `aliases`, the first of them is followed instead.
    """

    stage: Literal["Production", "Staging"] | None = None
    alias: str | None = None
    newest: bool = False
    aliases: list[str] = []

    @model_validator(mode="after")
    def _exactly_one(self) -> "Channel":
        if [self.stage is not None, self.alias is not None, self.newest].count(True) != 1:
            raise ValueError(
                "a channel is a stage, an alias, or the newest version (newest: true): give "
                "exactly one"
            )
        if self.alias and self.aliases:
            raise ValueError("a channel that is an alias has no other aliases")
        return self

    def __str__(self) -> str:
        if self.newest:
            return NEWEST
        return f"stage {self.stage}" if self.stage else f"alias {self.alias}"

    @classmethod
    def parse(cls, text: str) -> "Channel":
        """The channel that is written so by `str`."""
        kind, _, name = text.partition(" ")
        return cls.model_validate({"newest": True} if text == NEWEST else {kind: name})


class RegistrySettings(Section):
    """Where promotions are read from, and how often."""

    uri: str = "http://127.0.0.1:5000"
    poll_seconds: PositiveFloat = 1.0
    max_backoff_seconds: PositiveFloat = 30.0
    timeout_seconds: PositiveFloat = 10.0
    artifacts: Literal["proxy", "s3"] = "proxy"
    s3_root: str = ""
    live_alias: str = "live"

    @model_validator(mode="after")
    def _s3_needs_a_root(self) -> "RegistrySettings":
        if self.artifacts == "s3" and not self.s3_root.startswith("s3://"):
            raise ValueError(
                f"registry.s3_root is {self.s3_root!r}: with `artifacts: s3` it must name the "
                "server's artifacts destination, s3://bucket/prefix"
            )
        return self


class LimitSettings(Section):
    """How much one call, one batch and one queue may hold."""

    body_bytes: PositiveInt = 4 * 1024 * 1024
    rows_per_call: PositiveInt = 10_000
    batch_rows: PositiveInt = 1024
    queue_rows: PositiveInt = 50_000


class ServiceSettings(Section):
    """How `bentoml serve` runs the services."""

    workers: PositiveInt = 1
    request_timeout_seconds: PositiveInt = 30
    cors_origins: list[str] = []
    hosts: list[str] = []

    @property
    def longest_seconds(self) -> int:
        """What a whole call may take: its model, and 5 s for what comes before and after."""
        return self.request_timeout_seconds + 5


class GrpcSettings(Section):
    """Where the models answer over gRPC; without a port they do not."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None

    @model_validator(mode="after")
    def _whole_tls(self) -> "GrpcSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("grpc.certificate and grpc.key go together: give both or none")
        if self.client_authority and not self.certificate:
            raise ValueError("grpc.client_authority needs grpc.certificate and grpc.key")
        return self


class ModelSettings(Section):
    """Which registered models are served without a service of their own.

    With `alone` it is that one, which also answers where `mlflow models serve` does.
    """

    prefix: str = ""
    alone: str = ""
    memory_mb: PositiveInt | None = None
    exclude: list[str] = [
        "contugas-anomaly", "spotify-popularity", "cripto-*", "keras-*", "itransformer-*",
    ]  # fmt: skip


class AdmissionSettings(Section):
    """What a version must show before it may serve."""

    unsigned: Literal["refuse", "warn"] = "refuse"
    latency_ms: PositiveFloat = 1000.0
    deadline_seconds: PositiveFloat = 60.0
    memory_mb: PositiveInt = 2048
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    compile: bool = True
    keep_previous: bool = True
    allow_code: list[str] = []
    pickles: Literal["reviewed", "refuse"] = "reviewed"
    libraries: dict[str, Literal["exact", "minor", "any"]] = {"default": "minor"}


class ChallengerSettings(Section):
    """A second channel of each slot, tried on real calls while the alias exists."""

    alias: str = "challenger"
    mode: Literal["shadow", "canary"] = "shadow"
    share: Annotated[float, Field(ge=0, le=1)] = 0.1


class CacheSettings(Section):
    """The admitted versions kept on disk."""

    versions_per_model: PositiveInt = 5
    bytes: PositiveInt = 10 * 1024**3


class AnswerSettings(Section):
    """The answers kept to be given again, in each process or in Redis."""

    entries: PositiveInt = 10_000
    value_bytes: PositiveInt = 16 * 1024
    seconds: PositiveFloat = 300.0
    url: SecretStr = SecretStr("")  # redis://user:password@host:6379/0; none: in each process


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


class JobSettings(Section):
    """Trainings that clients ask for: how many at once, how many may wait."""

    at_once: PositiveInt = 1
    queued: PositiveInt = 20
    poll_seconds: PositiveFloat = 1.0
    grace_seconds: PositiveFloat = 10.0
    body_bytes: PositiveInt = 64 * 1024**2


class UploadSettings(Section):
    """Models that clients bring along: how large, and what reading one may take."""

    body_bytes: PositiveInt = 256 * 1024**2
    unpacked_bytes: PositiveInt = 512 * 1024**2
    seconds: PositiveFloat = 120.0
    memory_bytes: PositiveInt = 4 * 1024**3


class AdminSettings(Section):
    """What wants the admin key or the token of an admin. Clearing everything wants the key."""

    protects: list[Literal["deletes", "uploads", "training"]] = ["deletes", "uploads", "training"]


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
    channels: dict[str, Channel] = {
        "default": Channel(stage="Production", aliases=["production", "champion"]),
        "prod.*": Channel(newest=True, aliases=["production", "champion"]),
    }
    challengers: dict[str, ChallengerSettings] = {"default": ChallengerSettings()}
    limits: LimitSettings = LimitSettings()
    services: ServiceSettings = ServiceSettings()
    grpc: GrpcSettings = GrpcSettings()
    models: ModelSettings = ModelSettings()
    admission: AdmissionSettings = AdmissionSettings()
    cache: CacheSettings = CacheSettings()
    answers: AnswerSettings = AnswerSettings()
    security: SecuritySettings = SecuritySettings()
    jobs: JobSettings = JobSettings()
    uploads: UploadSettings = UploadSettings()
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

    @property
    def open_bytes(self) -> int:
        """What the open models of one worker may take: half of the memory, shared by all workers.

        Unless `models.memory_mb` says it.
        """
        if self.models.memory_mb:
            return self.models.memory_mb * 2**20
        return allowed() // 2 // self.services.workers

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
