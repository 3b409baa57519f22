"""Batchers of a model that tells each row and who answered it, and may wait."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Event

from bentos.serving.batching import Batcher
from bentos.serving.release import Release
from tests.memory import Tally
from tests.stack import until

Run = Callable[[Release, Sequence[int]], Sequence[str]]


class Bad(Exception):
    pass


class Gated:
    """A model that waits, as soon as it has begun, until it may go on."""

    def __init__(self) -> None:
        self.begun = Event()
        self.go_on = Event()

    def __call__(self, release: Release, rows: Sequence[int]) -> list[str]:
        self.begun.set()
        assert self.go_on.wait(60)
        return answer(release, rows)


def answer(release: Release, rows: Sequence[int]) -> list[str]:
    """Tell each row and who answered it; minus one is a bad row."""
    if -1 in rows:
        raise Bad
    return [f"{row} by {release.version.version}" for row in rows]


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
    assert await asyncio.to_thread(gated.begun.wait, 60)
    try:
        yield
    finally:
        gated.go_on.set()
        await first


async def queued(batcher: Batcher[int, str], rows: int) -> None:
    await until(lambda: batcher.queued_rows == rows)
