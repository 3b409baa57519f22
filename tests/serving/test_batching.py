import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Event, Thread, get_ident

import pytest

from bentos.serving.batching import Batcher, NoRelease, Overloaded
from bentos.serving.release import Release
from tests.memory import INLINE, THREADED, Tally, release

pytestmark = pytest.mark.anyio
Run = Callable[[Release, Sequence[int]], Sequence[str]]
PATHS = pytest.mark.parametrize("row_seconds", [INLINE, THREADED], ids=["inline", "threaded"])


class Bad(Exception):
    pass


class Gated:
    """A model that waits, as soon as it has begun, until it is told to go on."""

    def __init__(self) -> None:
        self.begun = Event()
        self.go_on = Event()

    def __call__(self, release: Release, rows: Sequence[int]) -> list[str]:
        self.begun.set()
        assert self.go_on.wait(10)
        return answer(release, rows)


def answer(release: Release, rows: Sequence[int]) -> list[str]:
    """Tell each row and who answered it; minus one is a bad row."""
    if -1 in rows:
        raise Bad
    return [f"{row} by {release.version.version}" for row in rows]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def tally() -> Tally:
    return Tally()


class Live:
    """Holds what serves now, as a slot does."""

    def __init__(self, release: Release | None) -> None:
        self.release = release

    def __call__(self) -> Release | None:
        return self.release


def batcher(
    live: Live, tally: Tally, run: Run = answer, most: int = 1024, queue: int = 50_000
) -> Batcher[int, str]:
    return Batcher(live, run, tally, max_batch_rows=most, max_queue_rows=queue)


@asynccontextmanager
async def busy(batcher: Batcher[int, str], gated: Gated) -> AsyncIterator[None]:
    """The model runs row 0 as long as this lasts."""
    first = asyncio.create_task(batcher.submit([0]))
    assert await asyncio.to_thread(gated.begun.wait, 10)
    try:
        yield
    finally:
        gated.go_on.set()
        await first


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def queued(batcher: Batcher[int, str], rows: int) -> None:
    await until(lambda: batcher.queued_rows == rows)


async def test_a_quick_model_answers_in_the_loop(tally: Tally) -> None:
    live = Live(release("3", row_seconds=INLINE))
    answered = await batcher(live, tally).submit([7, 8])
    assert answered.answers == ["7 by 3", "8 by 3"]
    assert answered.release is live.release
    assert tally.threads == [get_ident()]


async def test_a_slow_model_leaves_the_loop_free(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    async with busy(one, gated):
        assert tally.rows == []  # the loop came here while the model ran
    assert get_ident() not in tally.threads


async def test_a_batcher_may_be_kept_out_of_the_loop(tally: Tally) -> None:
    one = Batcher[int, str](Live(release(row_seconds=INLINE)), answer, tally, 9, 9, inline=False)
    await one.submit([1])
    assert get_ident() not in tally.threads


async def test_a_model_that_turns_out_slow_moves_to_the_thread(tally: Tally) -> None:
    def slow(release: Release, rows: Sequence[int]) -> list[str]:
        time.sleep(0.02)
        return answer(release, rows)

    one = batcher(Live(release(row_seconds=INLINE)), tally, slow)
    await one.submit([1])
    await one.submit([2])
    assert tally.threads[0] == get_ident() != tally.threads[1]


async def test_a_swap_forgets_how_slow_the_last_release_was(tally: Tally) -> None:
    live = Live(release("1", row_seconds=THREADED))
    one = batcher(live, tally)
    await one.submit([1])
    live.release = release("2", row_seconds=INLINE)
    await one.submit([2])
    assert tally.threads[0] != get_ident() == tally.threads[1]


@PATHS
async def test_calls_of_the_same_moment_go_together(tally: Tally, row_seconds: float) -> None:
    one = batcher(Live(release(row_seconds=row_seconds)), tally)
    answered = await asyncio.gather(*(one.submit([row]) for row in range(50)))
    assert [a.answers for a in answered] == [[f"{row} by 1"] for row in range(50)]
    assert tally.rows == [50]


async def test_the_next_batch_fills_while_the_model_runs(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    async with busy(one, gated):
        calls = [asyncio.create_task(one.submit([row])) for row in range(20)]
        await queued(one, 20)
    assert [(await call).answers for call in calls] == [[f"{row} by 1"] for row in range(20)]
    assert tally.rows == [1, 20]
    assert one.queued_rows == 0


async def test_what_waits_is_told_when_a_batch_begins(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    async with busy(one, gated):
        calls = [asyncio.create_task(one.submit([1, 2])) for _ in range(3)]
        await queued(one, 6)
    await asyncio.gather(*calls)
    await until(lambda: tally.queues == [1, 6, 0])


async def test_batches_keep_to_their_bound_and_calls_whole(tally: Tally) -> None:
    one = batcher(Live(release()), tally, most=4)
    calls = [[1, 2, 3], [4, 5], [6, 7], list(range(10)), [8]]
    answered = await asyncio.gather(*(one.submit(call) for call in calls))
    assert [a.answers for a in answered] == [[f"{row} by 1" for row in call] for call in calls]
    assert tally.rows == [3, 4, 10, 1]


@PATHS
async def test_a_bad_row_fails_only_its_own_call(tally: Tally, row_seconds: float) -> None:
    one = batcher(Live(release(row_seconds=row_seconds)), tally)
    calls = [[1, 2], [3, -1], [4]]
    first, bad, last = await asyncio.gather(
        *(one.submit(call) for call in calls), return_exceptions=True
    )
    assert isinstance(bad, Bad)
    assert not isinstance(first, BaseException)
    assert first.answers == ["1 by 1", "2 by 1"]
    assert not isinstance(last, BaseException)
    assert last.answers == ["4 by 1"]


class Panic(BaseException):
    """What a panic in a library written in Rust becomes."""


@PATHS
async def test_a_panic_is_an_error_and_the_next_call_is_answered(
    tally: Tally, row_seconds: float
) -> None:
    def panic(release: Release, rows: Sequence[int]) -> list[str]:
        if -1 in rows:
            raise Panic("unwrap on None")
        return answer(release, rows)

    one = batcher(Live(release("5", row_seconds=row_seconds)), tally, panic)
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match=r"small/5 .*unwrap on None"):
            await one.submit([-1])
        assert (await one.submit([1])).answers == ["1 by 5"]


@PATHS
async def test_too_few_answers_are_an_error_of_every_call(
    tally: Tally, row_seconds: float
) -> None:
    def forgetful(release: Release, rows: Sequence[int]) -> list[str]:
        return answer(release, rows)[1:]

    one = batcher(Live(release("9", row_seconds=row_seconds)), tally, forgetful)
    outcomes = await asyncio.gather(
        *(one.submit([r, r]) for r in range(3)), return_exceptions=True
    )
    assert {str(outcome) for outcome in outcomes} == {"small/9 gave 1 answers to 2 rows"}
    assert tally.rows == []


async def test_a_full_queue_accepts_no_more_until_it_drains(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated, queue=5)
    async with busy(one, gated):
        waiting = asyncio.create_task(one.submit([1, 2, 3]))
        await queued(one, 3)
        with pytest.raises(Overloaded, match="3 rows wait already; the queue takes 5"):
            await one.submit([4, 5, 6])
        fits = asyncio.create_task(one.submit([4, 5]))
        await queued(one, 5)
    assert len((await waiting).answers) == 3
    assert len((await fits).answers) == 2
    assert len((await one.submit([4, 5, 6])).answers) == 3


async def test_a_call_larger_than_the_queue_is_taken_when_nothing_waits(tally: Tally) -> None:
    one = batcher(Live(release()), tally, queue=5)
    assert len((await one.submit(list(range(9)))).answers) == 9


async def test_without_a_release_no_call_is_accepted(tally: Tally) -> None:
    one = batcher(Live(None), tally)
    for rows in ([1], []):
        with pytest.raises(NoRelease):
            await one.submit(rows)


async def test_no_rows_have_no_answers(tally: Tally) -> None:
    live = Live(release())
    answered = await batcher(live, tally).submit([])
    assert list(answered.answers) == []
    assert answered.release is live.release
    assert tally.rows == []


async def test_a_release_that_leaves_ends_the_calls_that_wait(tally: Tally) -> None:
    live = Live(release(row_seconds=THREADED))
    gated = Gated()
    one = batcher(live, tally, gated)
    async with busy(one, gated):
        calls = [asyncio.create_task(one.submit([row])) for row in (1, 2)]
        await queued(one, 2)
        live.release = None
    for call in calls:
        with pytest.raises(NoRelease):
            await call
    live.release = release("2")
    assert (await one.submit([3])).answers == ["3 by 2"]


async def test_a_call_given_up_while_it_waits_is_never_run(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    async with busy(one, gated):
        given_up, kept = (asyncio.create_task(one.submit([row] * 3)) for row in (1, 2))
        await queued(one, 6)
        given_up.cancel()
    assert (await kept).answers == ["2 by 1"] * 3
    assert tally.rows == [1, 3]
    assert one.queued_rows == 0


async def test_a_call_given_up_while_it_runs_harms_no_neighbour(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    given_up, kept = (asyncio.create_task(one.submit([row])) for row in (1, 2))
    assert await asyncio.to_thread(gated.begun.wait, 10)
    given_up.cancel()
    gated.go_on.set()
    assert (await kept).answers == ["2 by 1"]
    assert tally.rows == [2]
    with pytest.raises(asyncio.CancelledError):
        await given_up


@PATHS
async def test_each_batch_runs_wholly_on_one_release(tally: Tally, row_seconds: float) -> None:
    releases = [release(str(number), row_seconds=row_seconds) for number in range(50)]
    live = Live(releases[0])
    over = Event()

    def swap_on_and_on() -> None:
        while not over.is_set():
            for live.release in releases:
                over.wait(0.0001)

    async def client(row: int) -> None:
        rows = [row] * 3
        for _ in range(50):
            answered = await one.submit(rows)
            assert answered.answers == answer(answered.release, rows)

    one = batcher(live, tally)
    swapping = Thread(target=swap_on_and_on)
    swapping.start()
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(client(row) for row in range(20)))
            while len(set(map(str, tally.releases))) < 10:  # until it met enough swaps
                await client(0)
    finally:
        over.set()
        swapping.join()
