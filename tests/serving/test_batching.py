import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from threading import Event, Thread, get_ident

import pytest

from bentos.serving.batching import Batcher
from bentos.serving.budget import Budget, Closable, Model
from bentos.serving.release import Release
from tests.memory import INLINE, THREADED, Tally, doubled, release
from tests.serving.batchers import Bad, Gated, Live, answer, batcher, busy, queued
from tests.stack import until

pytestmark = pytest.mark.anyio
PATHS = pytest.mark.parametrize("row_seconds", [INLINE, THREADED], ids=["inline", "threaded"])


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
        hashlib.pbkdf2_hmac("sha256", b"", b"", 100_000)  # tens of milliseconds
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


async def test_what_waits_is_reported_when_a_batch_begins(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated)
    async with busy(one, gated):
        calls = [asyncio.create_task(one.submit([1, 2])) for _ in range(3)]
        await queued(one, 6)
    await asyncio.gather(*calls)
    await until(lambda: tally.queues == [1, 6, 0])


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
    assert tally.errors == ["failed"]


class Panic(BaseException):
    """What a panic in a library written in Rust becomes."""


@pytest.mark.parametrize("raised", [Panic, StopIteration])  # no future takes a StopIteration
@PATHS
async def test_a_panic_is_an_error_and_the_next_call_is_answered(
    tally: Tally, row_seconds: float, raised: type[BaseException]
) -> None:
    def panic(release: Release, rows: Sequence[int]) -> list[str]:
        if -1 in rows:
            raise raised("unwrap on None")
        return answer(release, rows)

    one = batcher(Live(release("5", row_seconds=row_seconds)), tally, panic)
    async with asyncio.timeout(60):
        with pytest.raises(RuntimeError, match=r"small/5 .*unwrap on None"):
            await one.submit([-1])
        assert (await one.submit([1])).answers == ["1 by 5"]


async def test_a_panic_while_a_model_is_opened_is_an_error_too(tally: Tally) -> None:
    def panic() -> Model:
        raise Panic("unwrap on None")

    closed = Closable(Budget(0), 1, Model(doubled), panic)
    closed.model = None
    one = batcher(Live(replace(release("5"), predict=closed)), tally)
    async with asyncio.timeout(10):
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"small/5 .*unwrap on None"):
                await one.submit([1])


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
        async with asyncio.timeout(240):
            await asyncio.gather(*(client(row) for row in range(20)))
            while len(set(map(str, tally.releases))) < 10:  # until it met enough swaps
                await client(0)
    finally:
        over.set()
        swapping.join()
