"""Which models stay open, and what their callers see."""

import asyncio
from collections.abc import Callable
from threading import Event, Thread

import pytest

from bentos.registry.client import Version
from bentos.serving.budget import LIFE, Budget, CannotOpen, Closable, Model
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from tests.memory import INLINE, THREADED, doubled, numbers_slot

DOUBLED = Model(doubled)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock) -> Budget:
    return Budget(100, clock)


def model(
    budget: Budget,
    size: int = 40,
    reopen: Callable[[], Model] = lambda: DOUBLED,
) -> Closable:
    one = Closable(budget, size, DOUBLED, reopen)
    budget.enter(one, None)
    return one


def closed(
    budget: Budget,
    size: int = 40,
    reopen: Callable[[], Model] = lambda: DOUBLED,
) -> Closable:
    one = Closable(budget, size, DOUBLED, reopen)
    one.model = None
    return one


def call(budget: Budget, *models: Closable | Release) -> None:
    for one in models:
        if isinstance(one, Release):
            one.open()
            one.free()
        else:
            budget.open(one)
            budget.free(one)


def still_open(*models: Closable) -> list[bool]:
    return [one.model is not None for one in models]


def test_the_least_recently_called_is_closed(budget: Budget) -> None:
    first, second = model(budget), model(budget)
    call(budget, first)
    third = model(budget)
    assert still_open(first, second, third) == [True, False, True]
    call(budget, third, second)
    assert still_open(first, second, third) == [False, True, True]
    assert budget.used == 80


def test_one_that_is_called_often_is_never_the_victim(budget: Budget, clock: Clock) -> None:
    often, others = model(budget), [model(budget) for _ in range(5)]
    for _ in range(20):
        call(budget, often)
    for _ in range(3):
        for one in others:
            call(budget, one)
            assert often.model is not None
    clock.now += LIFE * 10  # nobody calls it any more
    call(budget, *others)
    assert often.model is None


def test_a_cold_one_without_room_is_open_until_the_next_comes(budget: Budget) -> None:
    hot = [model(budget), model(budget)]
    for _ in range(5):
        call(budget, *hot)
    one, other = closed(budget, 30), closed(budget, 30)
    call(budget, one)
    assert still_open(*hot, one) == [True, True, True]
    assert budget.used == 110
    call(budget, other)
    assert still_open(*hot, one, other) == [True, True, False, True]


def test_a_model_larger_than_all_room_answers_and_stays_until_the_next_comes(
    budget: Budget,
) -> None:
    large = model(budget, size=1000)
    call(budget, large)
    assert large.model is not None
    small = model(budget)
    assert still_open(large, small) == [False, True]


def test_one_is_not_closed_while_its_batch_runs_and_others_wait_for_room(budget: Budget) -> None:
    hot, one = model(budget, size=90), closed(budget, size=90)
    for _ in range(5):
        call(budget, hot)
    budget.open(one)
    late = closed(budget, size=20)
    thread = Thread(target=call, args=(budget, late))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    assert still_open(hot, one, late) == [True, True, False]
    budget.free(one)
    thread.join(60)
    assert still_open(hot, one, late) == [True, False, True]


def test_one_that_cannot_be_opened_takes_no_room(budget: Budget) -> None:
    def fail() -> Model:
        raise CannotOpen("S3 is down")

    one = closed(budget, reopen=fail)
    with pytest.raises(CannotOpen):
        budget.open(one)
    assert (budget.used, one.held) == (0, 0)


def test_a_release_that_nobody_has_any_more_leaves_its_room(budget: Budget) -> None:
    one = model(budget)
    assert budget.used == 40
    del one
    assert budget.used == 0


def closable(budget: Budget, version: str, row_seconds: float = INLINE) -> Release:
    one = Closable(budget, 60, DOUBLED, lambda: DOUBLED)
    return Release(Version("small", version), one, "native", row_seconds, 0.1)


def test_a_successor_is_as_hot_as_what_it_replaces(budget: Budget) -> None:
    slot, other = numbers_slot(), model(budget, size=60)
    first, second = closable(budget, "1"), closable(budget, "2")
    slot.swap(first)
    for _ in range(5):
        call(budget, first)
    call(budget, other)
    slot.swap(second)
    call(budget, other)
    assert (second.is_open, first.is_open) == (True, False)
    slot.swap(first)
    call(budget, first, other)
    assert (second.is_open, first.is_open) == (False, True)


@pytest.mark.anyio
@pytest.mark.parametrize("row_seconds", [INLINE, THREADED])
async def test_callers_wait_until_a_closed_model_is_open_again(
    budget: Budget, row_seconds: float
) -> None:
    opening = Event()

    def reopen() -> Model:
        assert opening.wait(60)
        return Model(lambda rows: rows * 3)

    one = Closable(budget, 60, DOUBLED, reopen)
    slot: Slot[float, float] = numbers_slot()
    slot.swap(Release(Version("small", "1"), one, "native", row_seconds, 0.1))
    assert (await slot.predict([1.0])).answers == [2.0]
    other = model(budget, size=90)
    call(budget, other, other, model(budget))
    assert slot.report()["live"]["open"] is False
    calls = [asyncio.create_task(slot.predict([x])) for x in (1.0, 2.0)]
    await asyncio.wait(calls, timeout=0.1)
    assert not any(task.done() for task in calls)
    opening.set()
    assert [(await task).answers for task in calls] == [[3.0], [6.0]]
    assert one.held == 0


@pytest.mark.anyio
async def test_why_a_model_cannot_be_opened_reaches_each_caller(budget: Budget) -> None:
    def fail() -> Model:
        raise CannotOpen("S3 is down")

    one = Closable(budget, 60, DOUBLED, fail)
    slot = numbers_slot()
    slot.swap(Release(Version("small", "1"), one, "native", INLINE, 0.1))
    one.model = None
    outcomes = await asyncio.gather(
        slot.predict([1.0]), slot.predict([2.0]), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == ["S3 is down"] * 2


def test_the_memory_is_free_once_the_last_batch_ended(budget: Budget) -> None:
    running, go_on, freed = Event(), Event(), Event()

    class Held:
        def __call__(self, batch: object) -> object:
            running.set()
            assert go_on.wait(60)
            return batch

        def __del__(self) -> None:
            freed.set()

    one = Closable(budget, 60, Model(Held()), lambda: DOUBLED)
    budget.enter(one, None)
    batch = Thread(target=one, args=(1,))  # as a batch does that nobody counted
    batch.start()
    assert running.wait(60)
    call(budget, *[model(budget, size=60) for _ in range(2)])
    assert one.model is None
    assert not freed.is_set()
    go_on.set()
    batch.join()
    assert freed.is_set()
