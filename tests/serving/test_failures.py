"""Models whose processes fail: closed, opened again, and withdrawn when that is too often."""

from typing import Any

import pytest

from bentos.serving.budget import Budget, Closable, Model
from bentos.serving.failures import FailedTooOften, Failing, Failures, Patience


class Process:
    """A model's, which fails as it is asked to."""

    def __init__(self) -> None:
        self.started = 0
        self.fails = self.ended = False

    def open(self) -> Model:
        self.started += 1
        self.ended = False
        return Model(self.predict, None, self.check)

    def predict(self, batch: Any) -> Any:
        if self.fails:
            raise Failing("crash", "its process ended with SIGABRT")
        return batch

    def check(self) -> None:
        if self.ended:
            raise Failing("crash", "its process ended with SIGKILL")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(100, clock)


@pytest.fixture
def model(budget: Budget, process: Process, clock: Clock) -> Closable:
    failures = Failures(Patience(3, 600.0), clock)
    one = Closable(budget, 1, process.open(), process.open, failures)
    budget.enter(one, None)
    return one


def call(budget: Budget, one: Closable) -> Any:
    budget.open(one)
    try:
        return one("rows")
    finally:
        budget.free(one)


def fail(budget: Budget, one: Closable, process: Process) -> None:
    process.fails = True
    with pytest.raises(Failing, match="SIGABRT"):
        call(budget, one)
    process.fails = False


def test_it_never_runs_where_calls_wait(budget: Budget, model: Closable) -> None:
    assert not budget.hold(model)


def test_the_next_call_starts_another_process(
    budget: Budget, model: Closable, process: Process
) -> None:
    fail(budget, model, process)
    assert model.model is None
    assert call(budget, model) == "rows"
    process.ended = True
    with pytest.raises(Failing, match="SIGKILL"):
        budget.open(model)
    assert call(budget, model) == "rows"
    assert (process.started, model.held) == (3, 0)


def test_too_many_failures_withdraw_it(
    budget: Budget, model: Closable, process: Process, clock: Clock
) -> None:
    for _ in range(3):
        clock.now += 301.0
        fail(budget, model, process)
    assert model.failures.refusal is None
    fail(budget, model, process)
    assert model.failures.refusal
    assert str(model.failures.refusal).startswith("crash: its process failed 3 times in 10 minut")
    started = process.started
    with pytest.raises(FailedTooOften, match="the last time its process ended with SIGABRT"):
        call(budget, model)
    assert process.started == started


def test_an_idle_one_is_stopped(
    budget: Budget, model: Closable, process: Process, clock: Clock
) -> None:
    clock.now += 100.0
    call(budget, model)
    clock.now += 500.0
    budget.rest(600.0)
    assert model.model
    budget.open(model)
    clock.now += 700.0
    budget.rest(600.0)
    assert model.model, "a batch runs"
    budget.free(model)
    budget.rest(600.0)
    assert model.model is None
    assert call(budget, model) == "rows"
    assert model.failures.refusal is None
