"""Whom a call waits for, how long, and when it need not begin to. The models' speed is known."""

import asyncio
import gc
from collections.abc import Sequence
from threading import get_ident

import pytest

from bentos.process import MADE, collect_between
from bentos.serving.batching import Batcher, QueueFull
from bentos.serving.release import Release
from bentos.serving.waiting import Answered, Late
from bentos.tensors import BadInput
from tests.memory import INLINE, THREADED, Tally, release
from tests.serving.batchers import Gated, Live, Run, answer, busy, queued
from tests.stack import until

pytestmark = pytest.mark.anyio
PATHS = pytest.mark.parametrize("row_seconds", [INLINE, THREADED], ids=["inline", "threaded"])
LARGE = list(range(10_000))


class Clock:
    """A clock that a model moves on by what its batches take, and when it had done which row."""

    def __init__(self, a_batch: float = 0.0, a_row: float = 0.0) -> None:
        self.now = 0.0
        self.done: dict[int, float] = {}
        self._a_batch, self._a_row = a_batch, a_row

    def __call__(self) -> float:
        return self.now

    def run(self, release: Release, rows: Sequence[int]) -> list[str]:
        self.now += self._a_batch + self._a_row * len(rows)
        self.done.update(dict.fromkeys(rows, self.now))
        return answer(release, rows)


def timed(
    live: Live, tally: Tally, clock: Clock, most: int = 1024, run: Run | None = None
) -> Batcher[int, str]:
    return Batcher(live, run or clock.run, tally, most, 1_000_000, clock=clock)


@PATHS
async def test_a_call_of_one_row_waits_for_no_more_than_a_batch_and_its_own(
    tally: Tally, row_seconds: float
) -> None:
    clock = Clock(a_row=0.00001)
    one = timed(Live(release(row_seconds=row_seconds)), tally, clock)
    over = False

    async def large() -> None:
        while not over:
            assert (await one.submit(LARGE)).answers == [f"{row} by 1" for row in LARGE]

    callers = [asyncio.create_task(large()) for _ in range(3)]
    await until(lambda: tally.rows)
    waits = []
    for row in range(20_000, 20_200):
        began = clock.now
        assert (await one.submit([row])).answers == [f"{row} by 1"]
        waits.append(clock.done[row] - began)
    over = True
    await asyncio.gather(*callers)
    assert max(waits) <= 2 * 1024 * 0.00001 + 1e-9
    assert max(tally.rows) == 1024


@PATHS
async def test_a_large_call_has_half_of_each_batch_however_many_small_ones_come(
    tally: Tally, row_seconds: float
) -> None:
    one = timed(Live(release(row_seconds=row_seconds)), tally, Clock(), most=64)
    over = False

    async def small() -> None:
        while not over:
            await one.submit([1])

    callers = [asyncio.create_task(small()) for _ in range(200)]
    await until(lambda: len(tally.rows) > 3)
    before = len(tally.rows)
    assert len((await one.submit(LARGE[:1000])).answers) == 1000
    over = True
    await asyncio.gather(*callers)
    assert len(tally.rows) - before <= 1000 / 32 + 200 / 32 + 3


async def test_large_calls_take_turns(tally: Tally) -> None:
    clock = Clock(a_batch=1.0)
    one = timed(Live(release(row_seconds=1.0)), tally, clock, most=100)
    calls = LARGE[:500], LARGE[500:700], LARGE[700:800]
    await asyncio.gather(*map(one.submit, calls))
    assert [clock.done[call[-1]] for call in calls] == [8, 5, 3]


async def test_rows_of_one_large_call_take_a_tenth_of_a_second_at_once(tally: Tally) -> None:
    one = timed(Live(release()), tally, Clock(a_row=0.0005))
    for _ in range(3):
        await one.submit(LARGE[:3000])
    assert tally.rows[0] == 1024
    assert set(tally.rows[-10:-1]) == {128}  # 256 rows take .128 s


async def test_batches_keep_to_their_bound(tally: Tally) -> None:
    one = timed(Live(release()), tally, Clock(), most=16)
    calls = [[1, 2], list(range(30)), [3], list(range(9))]
    answered = await asyncio.gather(*(one.submit(call) for call in calls))
    assert [a.answers for a in answered] == [[f"{row} by 1" for row in call] for call in calls]
    assert max(tally.rows) == 16
    assert sum(tally.rows) == 42


async def test_a_call_that_a_swap_meets_is_answered_by_one_release(tally: Tally) -> None:
    live = Live(release("1"))

    def run(release_: Release, rows: Sequence[int]) -> list[str]:
        if 500 in rows and release_.version.version == "1":
            live.release = release("2")
        return answer(release_, rows)

    one = timed(live, tally, Clock(), most=100, run=run)
    answered = await one.submit(LARGE[:1000])
    assert answered.release is live.release
    assert answered.answers == [f"{row} by 2" for row in range(1000)]


async def test_a_bad_row_counts_in_its_call_and_ends_it(tally: Tally) -> None:
    def run(release: Release, rows: Sequence[int]) -> list[str]:
        if 250 in rows:
            raise BadInput("250 is odd", "x", list(rows).index(250))
        return answer(release, rows)

    one = timed(Live(release()), tally, Clock(), most=100, run=run)
    bad, good = await asyncio.gather(
        one.submit(LARGE[:1000]), one.submit([7]), return_exceptions=True
    )
    assert isinstance(bad, BadInput)
    assert (bad.row, bad.column, bad.message) == (250, "x", "250 is odd")
    assert isinstance(good, Answered)
    assert sum(tally.rows) < 300
    await until(lambda: one.queued_rows == 0)


@pytest.mark.parametrize("rows", [1, 20], ids=["small", "large"])
async def test_a_call_whose_time_is_over_is_told_and_its_rows_never_run(
    tally: Tally, rows: int
) -> None:
    clock, gated = Clock(), Gated()
    one = timed(Live(release(row_seconds=THREADED)), tally, clock, most=16, run=gated)
    async with busy(one, gated):
        late = asyncio.create_task(one.submit([1] * rows, until=5.0))
        kept = asyncio.create_task(one.submit([2], until=50.0))
        await queued(one, rows + 1)
        clock.now = 5.0
        with pytest.raises(Late):
            await late
    assert (await kept).answers == ["2 by 1"]
    assert tally.rows == [1, 1]


async def test_a_call_amid_its_batch_is_told_when_its_time_is_over(tally: Tally) -> None:
    clock, gated = Clock(), Gated()
    one = timed(Live(release(row_seconds=THREADED)), tally, clock, run=gated)
    late = asyncio.create_task(one.submit([1], until=5.0))
    assert await asyncio.to_thread(gated.begun.wait, 60)
    clock.now = 5.0
    with pytest.raises(Late):
        await late
    gated.go_on.set()
    assert (await one.submit([2], until=9.0)).answers == ["2 by 1"]


@PATHS
async def test_what_would_be_answered_too_late_is_refused_at_once(
    tally: Tally, row_seconds: float
) -> None:
    clock = Clock(a_batch=1.0)
    one = timed(Live(release(row_seconds=max(1.0, row_seconds))), tally, clock, most=10)
    outcomes = await asyncio.gather(
        *(one.submit(LARGE[:10], until=5.0) for _ in range(100)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QueueFull)]
    assert [type(outcome) for outcome in outcomes] == [Answered] * 5 + [QueueFull] * 95
    assert {(str(each), each.seconds) for each in refused} == {
        ("50 rows wait already; an answer would take 6.0 s", 6.0)
    }
    assert clock.now == 5.0  # nobody's answer came too late


async def test_one_row_is_taken_where_a_large_call_would_be_too_late(tally: Tally) -> None:
    clock, gated = Clock(a_batch=1.0), Gated()

    def run(release: Release, rows: Sequence[int]) -> list[str]:
        gated(release, rows)
        return clock.run(release, rows)

    one = timed(Live(release(row_seconds=THREADED)), tally, clock, most=10, run=run)
    async with busy(one, gated):
        waiting = [asyncio.create_task(one.submit(LARGE[:10], until=9.0)) for _ in range(3)]
        await queued(one, 30)
        with pytest.raises(QueueFull):
            await one.submit(LARGE[:10], until=3.5)
        small = asyncio.create_task(one.submit([1], until=3.5))
        await queued(one, 31)
    assert (await small).answers == ["1 by 1"]
    await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    ("a_row", "again"),
    [(0.0005, False), (0.0001, True)],
    ids=["as slow as was told", "only waited for its turn"],
)
async def test_a_batch_runs_in_the_loop_if_so_many_rows_are_quick(
    tally: Tally, a_row: float, again: bool
) -> None:
    one = timed(Live(release(row_seconds=0.0001)), tally, Clock(a_row=a_row))
    for rows in (1, 3, 64, 1, 64, 3):
        await one.submit(LARGE[:rows])
    inside = [thread == get_ident() for thread in tally.threads]
    assert inside == [True, True, False, True, again, True]


async def test_a_large_batch_that_turned_out_quick_stays_in_the_loop(tally: Tally) -> None:
    one = timed(Live(release(row_seconds=0.0001)), tally, Clock(a_batch=0.0001))
    for _ in range(2):
        await one.submit(LARGE[:64])
    assert [thread == get_ident() for thread in tally.threads] == [False, True]


async def test_calls_have_no_timers_of_their_own(
    tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, timers = asyncio.get_running_loop(), list[float]()
    later = loop.call_later

    def counted(delay: float, *args: object) -> asyncio.TimerHandle:
        timers.append(delay)
        return later(delay, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_later", counted)
    one = timed(Live(release()), tally, Clock())
    for row in range(1000):
        await one.submit([row], until=60.0)
    assert len(timers) < 100


async def test_garbage_is_collected_between_batches_and_not_amid_them(tally: Tally) -> None:
    inside, seen = False, list[bool]()

    def run(release: Release, rows: Sequence[int]) -> list[str]:
        nonlocal inside
        inside = True
        for _ in range(2 * MADE):
            node: list[object] = []
            node.append(node)
        inside = False
        return answer(release, rows)

    def hear(phase: str, about: dict[str, int]) -> None:
        seen.append(inside)

    one = timed(Live(release()), tally, Clock(), run=run)
    collect_between()
    gc.callbacks.append(hear)
    try:
        for _ in range(3):
            await one.submit([1])
        await until(lambda: len(seen) >= 6)
    finally:
        gc.callbacks.remove(hear)
        gc.enable()
    assert not any(seen)
