"""What waits for its turn: how much may, and what becomes of it."""

import asyncio

import pytest

from bentos.serving.batching import NoRelease, QueueFull
from tests.memory import THREADED, Tally, release
from tests.serving.batchers import Gated, Live, batcher, busy, queued

pytestmark = pytest.mark.anyio


async def test_a_full_queue_accepts_no_more_until_it_drains(tally: Tally) -> None:
    gated = Gated()
    one = batcher(Live(release(row_seconds=THREADED)), tally, gated, queue=5)
    async with busy(one, gated):
        waiting = asyncio.create_task(one.submit([1, 2, 3]))
        await queued(one, 3)
        with pytest.raises(QueueFull, match="3 rows wait already; the queue takes 5"):
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
    assert await asyncio.to_thread(gated.begun.wait, 60)
    given_up.cancel()
    gated.go_on.set()
    assert (await kept).answers == ["2 by 1"]
    assert tally.rows == [2]
    with pytest.raises(asyncio.CancelledError):
        await given_up
