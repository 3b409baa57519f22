"""What serves, and what a service asks of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from bentos.flavors.loading import Predictor
from bentos.registry.client import Version

Runs = Literal["native", "onnx"]


@dataclass(frozen=True)
class Contract:
    """The columns that a service sends and those that it expects back, with MLflow's types.

    For example `Contract({"presion": "double"}, {"cluster": "long"})`. None is for any: the
    service reads from the release what its model takes.
    """

    inputs: Mapping[str, str] | None
    outputs: Mapping[str, str] | None


@dataclass(frozen=True)
class Release:
    """A version that was admitted.

    `row_shape` is that of one input row, -1 where it may vary; `metadata` is what training noted
    in the MLmodel file; `note` says how its graph was proved, or why it has none.
    """

    version: Version
    predict: Predictor
    runs: Runs
    row_seconds: float
    admission_seconds: float
    warnings: tuple[str, ...] = ()
    row_shape: tuple[int, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __str__(self) -> str:
        return str(self.version)
