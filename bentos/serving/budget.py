"""How much memory the open models of a process may take, and which one is closed for another.

A model's heat is the number of its calls, each worth less the longer it is ago. Of models that are
called equally often, the one called least recently is the coldest; one that is called often stays
hot while others are called once. Kept as a logarithm, the heat of a model that nobody calls need
not be touched: all cool alike.
"""

import math
import time
from collections.abc import Callable
from threading import Condition, Lock
from typing import Any, NamedTuple
from weakref import WeakSet

from bentos.serving.failures import Failing, Failures

LIFE = 600.0  # seconds until a call counts 1/e
LOST_PAUSE = 1.0  # seconds; nobody says which models nobody has any more

Predict = Callable[[Any], Any]


class CannotOpen(Exception):
    """A model was closed and cannot be opened again now; the message says why."""


class Model(NamedTuple):
    """A model in memory: its answers, and where it has them, those with probabilities.

    One in a process of its own has `check`, which raises Failing where that has ended.
    """

    predict: Predict
    probable: Predict | None = None
    check: Callable[[], None] | None = None


class Closable:
    """The model of a release while it is open, and what opens it again.

    `size` is in bytes. It is called between `Budget.hold`, or `Budget.open`, and `Budget.free`.
    One whose process fails is closed: the next call opens it again, unless it failed too often.
    """

    def __init__(
        self,
        budget: "Budget",
        size: int,
        model: Model,
        reopen: Callable[[], Model],
        failures: Failures | None = None,
    ) -> None:
        self.budget = budget
        self.size = size
        self.model: Model | None = model
        self.reopen = reopen
        self.failures = failures or Failures()
        self.heat = -math.inf
        self.held = 0  # batches that run
        self.opening = Lock()
        self.called = budget.now()

    def __call__(self, batch: Any) -> Any:
        """Answer a batch. Raises Failing."""
        model = self._opened
        return self._asked(model, model.predict, batch)

    def probable(self, batch: Any) -> Any:
        """Answer a batch with probabilities. Raises Failing."""
        model = self._opened
        if model.probable is None:
            raise RuntimeError("a model was asked for probabilities that has none")
        return self._asked(model, model.probable, batch)

    def reopened(self) -> Model:
        """The model, opened if it is not, or if its process ended before. Raises Failing."""
        with self.opening:
            self.failures.check()
            try:
                if self.model and self.model.check:
                    self.model.check()
                return self.model or self.reopen()
            except Failing as error:
                self._failed(self.model, error)
                raise

    def _asked(self, model: Model, predict: Predict, batch: Any) -> Any:
        try:
            return predict(batch)
        except Failing as error:
            self._failed(model, error)
            raise

    def _failed(self, model: Model | None, error: Failing) -> None:
        """Note it, and let the model go, unless there is another one by now."""
        self.failures.note(error)
        if self.model is model:
            self.model = None

    @property
    def _opened(self) -> Model:
        if self.model is None:
            if self.failures.any:  # at a call of another thread
                raise Failing("crash", "its process failed meanwhile")
            raise RuntimeError("a model was called that is closed")
        return self.model


class Budget:
    """The open models, of `limit` bytes at most, but for one of them. Thread-safe.

    A model for which hotter ones leave no room is opened all the same; when the next one is
    opened, the coldest of all is closed. So no model is closed for a colder one.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._changed = Condition()
        self._open: WeakSet[Closable] = WeakSet()

    @property
    def used(self) -> int:
        """The bytes of all open models."""
        return sum(one.size for one in list(self._open))

    def enter(self, one: Closable, before: Closable | None) -> None:
        """Take in a model that is open, in the place and with the heat of another.

        It is closed if there is no room for it.
        """
        with self._changed:
            if before:
                one.heat, before.heat = before.heat, one.heat
            self._warm(one)
            if one.model and (one in self._open or self._has_room(one)):
                self._open.add(one)
            else:
                self._close(one)

    def now(self) -> float:
        """Seconds of the clock that all heats count by."""
        return self._clock()

    def rest(self, seconds: float) -> None:
        """Let go of models in processes of their own that nobody called for so long."""
        with self._changed:
            idle = self._clock() - seconds
            for one in list(self._open):
                if one.model and one.model.check and not one.held and one.called < idle:
                    self._close(one)

    def hold(self, one: Closable) -> bool:
        """Keep a model open until `free`, if it is open now and in this process."""
        with self._changed:
            if one.model is None or one.model.check:
                return False
            self._warm(one)
            one.held += 1
            return True

    def open(self, one: Closable) -> None:
        """Keep a model open until `free`; a closed one waits for room and is opened.

        Raises CannotOpen, Failing where its process ended, or FailedTooOften.
        """
        with self._changed:
            self._warm(one)
            while one.model is None and not self._has_room(one):
                self._changed.wait(LOST_PAUSE)
            one.held += 1
            self._open.add(one)
        try:
            one.model = one.reopened()
        except BaseException:
            self.free(one)
            raise

    def free(self, one: Closable) -> None:
        """A batch ended."""
        with self._changed:
            one.held -= 1
            if one.model is None and not one.held:
                self._close(one)
            self._changed.notify_all()

    def _warm(self, one: Closable) -> None:
        """Count a call."""
        one.called = self._clock()
        now = one.called / LIFE
        high, low = max(one.heat, now), min(one.heat, now)
        one.heat = high + math.log1p(math.exp(low - high))

    def _has_room(self, one: Closable) -> bool:
        """Make room for a model by closing colder ones; where none is, one may be too much."""
        others = sorted(self._open, key=lambda other: other.heat)
        coldest_is_busy = False
        for other in others:
            is_too_much = self.used > self.limit and not coldest_is_busy
            if other.held:
                coldest_is_busy = True
            elif is_too_much or (self._is_full(one) and other.heat < one.heat):
                self._close(other)
        return not self._is_full(one) or self.used <= self.limit

    def _is_full(self, one: Closable) -> bool:
        """Whether a model has no room beside the others."""
        return self.used + one.size > self.limit

    def _close(self, one: Closable) -> None:
        """Let go of a model; its memory is free once no batch uses it."""
        one.model = None
        self._open.discard(one)
