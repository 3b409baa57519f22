"""How services answer: processes, doors, bounds."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, model_validator

from bentos.settings.section import Section


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

    With `alone` it is that one, which also answers where `mlflow models serve` does. Those that
    are `isolated` may bring code, which runs in a sandbox.
    """

    include: list[str] = ["*"]
    alone: str = ""
    memory_mb: PositiveInt | None = None
    isolated: list[str] = []
    isolated_network: list[str] = []
    exclude: list[str] = [
        "contugas-anomaly", "spotify-popularity", "cripto-*", "keras-*", "itransformer-*",
    ]  # fmt: skip


class ProcessSettings(Section):
    """What a model may do that runs in a process of its own."""

    memory_mb: PositiveInt = 2048
    batch_seconds: PositiveFloat = 10.0
    idle_seconds: PositiveFloat = 600.0
    failures: Annotated[int, Field(ge=1)] = 5
    failures_seconds: PositiveFloat = 600.0


class AnswerSettings(Section):
    """The answers kept to be given again, in each process or in Redis."""

    entries: PositiveInt = 10_000
    value_bytes: PositiveInt = 16 * 1024
    seconds: PositiveFloat = 300.0
    url: SecretStr = SecretStr("")  # redis://user:password@host:6379/0; none: in each process


class DriftSettings(Section):
    """How what comes to a release is counted beside what it was trained with.

    Models whose names match a pattern of `exclude` are not counted.
    """

    enabled: bool = True
    exclude: list[str] = ["cripto-*"]
    rows_a_second: PositiveInt = 1000
    hours: PositiveFloat = 24.0
    served_rows: PositiveInt = 10_000


class TracingSettings(Section):
    """Where spans go; with `none`, there are none."""

    exporter: Literal["none", "otlp", "json"] = "none"
    file: Path | None = None  # of JSON; none: standard error


class MetricsSettings(Section):
    """Of how many models `/metrics` tells by their names; all others together are `other`."""

    models: PositiveInt = 200
