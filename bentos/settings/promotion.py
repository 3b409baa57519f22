"""What is followed, and what a version must show before it may serve."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator, model_validator

from bentos.settings.section import Section
from bentos.settings.spans import Span

NEWEST = "newest version"


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


class ChallengerSettings(Section):
    """A second channel of each slot, tried on real calls while the alias exists.

    It is tried no more where it does worse than the champion: by `errors`, by `latency`, or where
    more than the share `disagreement` of the answers that were compared differ; None: any may.
    """

    alias: str = "challenger"
    mode: Literal["shadow", "canary"] = "shadow"
    share: Annotated[float, Field(ge=0, le=1)] = 0.1
    errors: bool = True
    latency: bool = True
    disagreement: Annotated[float, Field(ge=0, le=1)] | None = None


class RegistrySettings(Section):
    """Where promotions are read from, and how often."""

    uri: str = "http://127.0.0.1:5000"
    poll_seconds: PositiveFloat = 1.0
    max_backoff_seconds: PositiveFloat = 30.0
    timeout_seconds: PositiveFloat = 10.0
    direct: str = ""
    artifacts: Literal["proxy", "s3"] = "proxy"
    s3_root: str = ""
    live_alias: str = "live"
    ui: str = ""
    file: Path | None = None

    @field_validator("file", mode="before")
    @classmethod
    def _none_or_no_folder(cls, path: object) -> object:
        if isinstance(path, str | Path) and path and Path(path).is_dir():
            raise ValueError(
                f"registry.file is {str(path)!r}, a folder: name MLflow's SQLite file"
            )
        return path or None

    @model_validator(mode="after")
    def _s3_needs_a_root(self) -> "RegistrySettings":
        if self.artifacts == "s3" and not self.s3_root.startswith("s3://"):
            raise ValueError(
                f"registry.s3_root is {self.s3_root!r}: with `artifacts: s3` it must name the "
                "server's artifacts destination, s3://bucket/prefix"
            )
        return self


class LedgerSettings(Section):
    """The PostgreSQL in which all replicas keep their history; none: each machine keeps its own.

    `postgresql://user:password@host:5432/database`; what it leaves out, libpq takes from PGHOST,
    PGPASSWORD and such.
    """

    url: SecretStr = SecretStr("")

    @field_validator("url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not text.startswith(("postgresql://", "postgres://")):
            raise ValueError("ledger.url is no postgresql://user:password@host/database")
        return url


class WatchSettings(Section):
    """How a release is watched after its swap."""

    seconds: Annotated[float, Field(ge=0)] = 600.0
    errors: bool = True
    refusals: bool = True
    latency: bool = True
    distribution: bool = False


class PromotionSettings(Section):
    """What happens after a version was promoted."""

    watch: WatchSettings = WatchSettings()


class AdmissionSettings(Section):
    """What a version must show before it may serve."""

    unsigned: Literal["refuse", "warn"] = "refuse"
    latency_ms: PositiveFloat = 1000.0
    deadline_seconds: PositiveFloat = 60.0
    memory_mb: PositiveInt | None = None
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    compile: bool = True
    keep_previous: bool = True
    allow_code: list[str] = []
    pickles: Literal["reviewed", "refuse"] = "reviewed"
    environments: bool = True
    quarantine: list[str] = []
    quarantine_without_sandbox: bool = False
    libraries: dict[str, Literal["exact", "minor", "any"]] = {"default": "minor"}
    replay: Span = ""
    replay_rows: PositiveInt = 10_000
    replay_differing: Annotated[float, Field(ge=0, le=1)] = 0.2
    replay_tolerance: Annotated[float, Field(ge=0)] = 0.01


class Rules(AdmissionSettings):
    """What one admission goes by: nothing is left to derive."""

    memory_mb: PositiveInt = 2048


class CacheSettings(Section):
    """The admitted versions kept on disk."""

    versions_per_model: PositiveInt = 5
    bytes: PositiveInt | None = None
