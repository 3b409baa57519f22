"""What serves, and what a service asks of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bentos.refusal import Refusal
from bentos.serving.budget import Closable
from bentos.serving.disputed import Disputed
from bentos.serving.record import Record
from bentos.serving.sample import Sample
from bentos.tensors import Schema
from bentos.version import Version

# A runner is a process with the version's own releases; isolated is one in a sandbox, with code.
Runs = Literal["native", "onnx", "runner", "isolated"]


@dataclass(frozen=True)
class Contract:
    """The columns that a service sends and those that it expects back, with MLflow's types.

    For example `Contract({"presion": "double"}, {"cluster": "long"})`. None is for any: the
    service reads from the release what its model takes. `by_schema` says that it sends batches of
    the columns that the release's schema has, instead of rows.
    """

    inputs: Mapping[str, str] | None
    outputs: Mapping[str, str] | None
    by_schema: bool = False


@dataclass(frozen=True)
class Probabilities:
    """How probable a classifier finds each of its `classes`, in the order of the columns.

    `predict` gives the release's answers with a column of these, `probabilities`. It is None
    where the model has none: `lacks` says why.
    """

    classes: tuple[str, ...] = ()
    predict: Callable[[Any], Any] | None = None
    lacks: str = ""


class Bands(Protocol):
    """How far the truth may be from a release's forecasts."""

    def half(
        self, level: float, window: NDArray[np.float64], recent: Any = None
    ) -> NDArray[np.float64]:
        """How far the truth is on either side at most, as often as `level` says: (steps, columns).

        `window` (rows, columns) is what was forecast from, `recent` are training's Recent. Raises
        training's InputError for a level that is too high.
        """
        ...


class Foreign(Protocol):
    """A process that a model runs in."""

    @property
    def memory(self) -> int:
        """The bytes that it takes."""
        ...

    def check(self) -> None:
        """Raise Failing where it has ended."""
        ...


@dataclass(frozen=True)
class Release:
    """A version that was admitted.

    `row_shape` is that of one input row, -1 where it may vary; `metadata` is what training noted
    in the MLmodel file; `note` says how its graph was proved, or why it has none.
    One that is asked by its `schema` has an `example` of a call, `made_up` where the version
    stored none, the digest of its `files`, and what its samples are answered with. `process` is
    what it runs in, if that is not this one; `bands` are of a forecaster whose training noted
    them; `memory` is what its admission measured, in bytes.
    """

    version: Version
    predict: Callable[[Any], Any]
    runs: Runs
    row_seconds: float
    admission_seconds: float
    warnings: tuple[str, ...] = ()
    row_shape: tuple[int, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    schema: Schema | None = None
    example: bytes = b""
    made_up: bool = False
    probabilities: Probabilities = Probabilities()
    files: str = ""
    answers: str = ""
    process: Foreign | None = None
    bands: Bands | None = None
    memory: int | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    record: Record = field(default_factory=Record)
    sample: Sample = field(default_factory=Sample)
    disputed: Disputed = field(default_factory=Disputed)

    def __str__(self) -> str:
        return str(self.version)

    @property
    def is_open(self) -> bool:
        """Whether its model is in memory."""
        return not isinstance(self.predict, Closable) or self.predict.model is not None

    @property
    def weight(self) -> int:
        """The bytes that its model takes now; none while it is closed."""
        return (self.memory or 0) if self.is_open else 0

    @property
    def unfit(self) -> Refusal | None:
        """Why it may not serve any more, of a model whose process failed too often."""
        return self.predict.failures.refusal if isinstance(self.predict, Closable) else None

    def hold(self) -> bool:
        """Keep the model open until `free`, if it is open now."""
        return not isinstance(self.predict, Closable) or self.predict.budget.hold(self.predict)

    def open(self) -> None:
        """Keep the model open until `free`; may take its time. Raises as `Budget.open`."""
        if isinstance(self.predict, Closable):
            self.predict.budget.open(self.predict)

    def free(self) -> None:
        """Let others have the memory when they need it."""
        if isinstance(self.predict, Closable):
            self.predict.budget.free(self.predict)

    def succeed(self, before: "Release | None") -> None:
        """Take the place of another release among the open models."""
        if isinstance(self.predict, Closable):
            replaced = before.predict if before else None
            self.predict.budget.enter(
                self.predict, replaced if isinstance(replaced, Closable) else None
            )
