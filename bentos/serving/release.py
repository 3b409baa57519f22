"""What serves, and what a service asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from bentos.serving.loading import Predictor
from bentos.serving.registry import Version

Runs = Literal["native", "onnx"]


@dataclass(frozen=True)
class Contract:
    """The columns that a service sends and those that it expects back, with MLflow's types.

    For example `Contract({"presion": "double"}, {"cluster": "long"})`.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Release:
    """A version that was admitted."""

    version: Version
    predict: Predictor
    runs: Runs
    row_seconds: float
    admission_seconds: float
    warnings: tuple[str, ...] = ()
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return str(self.version)
