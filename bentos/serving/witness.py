"""Who sees what the models of a slot get and give, batch by batch: a recorder, for instance."""

import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from bentos.serving.release import Contract, Release
from bentos.serving.waiting import Part
from bentos.tensors import Batch
from bentos.tensors.schema import PREDICTION

log = logging.getLogger(__name__)

CALL_ID: ContextVar[str] = ContextVar("call_id", default="")  # what a caller named its call
Predict: TypeAlias = Callable[[Any], Any]
Parts: TypeAlias = Sequence[Part[Any, Any]]


class Seen(NamedTuple):
    """A batch that was answered: as the model got it, what it gave, and whose rows they are.

    Nobody may change the arrays: they are those of the calls.
    """

    release: Release
    inputs: Batch
    answers: Batch
    parts: Parts


class Witness(Protocol):
    """Sees batches, from several threads. Calls wait for it, so it must be quick."""

    def watches(self, model: str) -> bool:
        """Whether it is to see those of this model."""
        ...

    def saw(self, seen: Seen) -> None:
        """A batch was answered."""
        ...


class Witnesses:
    """Those who see the batches of a slot, whose contract names the columns of bare arrays."""

    def __init__(self, contract: Contract) -> None:
        self.all: list[Witness] = []
        self._inputs = tuple(contract.inputs or ())
        self._outputs = tuple(contract.outputs or ())

    def add(self, model: str, witnesses: Sequence[Witness]) -> None:
        """Let those see the slot of a model that watch it."""
        self.all += [witness for witness in witnesses if witness.watches(model)]

    def saw(self, release: Release, given: Any, gave: Any, parts: Parts) -> None:
        """Show a batch to all; one that fails troubles no caller."""
        try:
            inputs = named(given, self._inputs)
            seen = Seen(release, inputs, named(gave, self._outputs, PREDICTION), parts)
            for witness in self.all:
                witness.saw(seen)
        except Exception:
            log.exception("a batch of %s was answered, but not seen", release)


class Tap:
    """A release that remembers the last batch of its model. One batch runs at a time."""

    def __init__(self, release: Release) -> None:
        self.of = release
        self.last: tuple[Any, Any] | None = None
        probable = release.probabilities
        if probable.predict:
            probable = replace(probable, predict=self._heard(probable.predict))
        self.release = replace(
            release, predict=self._heard(release.predict), probabilities=probable
        )

    def take(self) -> tuple[Any, Any] | None:
        """What the model got last, and what it gave, once."""
        last, self.last = self.last, None
        return last

    def _heard(self, predict: Predict) -> Predict:
        def heard(batch: Any) -> Any:
            answers = predict(batch)
            self.last = batch, answers
            return answers

        return heard


class Ear:
    """Hears the models of a batcher for the witnesses of its slot, if there are any."""

    def __init__(self, witnesses: Witnesses | None) -> None:
        self._witnesses = witnesses
        self._tap: Tap | None = None

    def at(self, release: Release) -> Release:
        """The release as it is to be asked."""
        if not self._witnesses or not self._witnesses.all:
            self._tap = None
            return release
        if self._tap is None or self._tap.of is not release:
            self._tap = Tap(release)
        return self._tap.release

    def tell(self, release: Release, parts: Parts) -> None:
        """Show the witnesses the batch that was answered last."""
        last = self._tap.take() if self._tap else None
        if last and self._witnesses:
            self._witnesses.saw(release, *last, parts)


def named(value: Any, names: Sequence[str], otherwise: str = "") -> Batch:
    """Columns of a batch or an array: by these names where they fit, or else all in one."""
    if isinstance(value, Batch):
        return value
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == len(names):
        return Batch.of_block(names, array)
    alone = names[0] if len(names) == 1 and array.ndim == 1 else otherwise
    return Batch({alone: array})
