"""Deadlines of calls that have all the same time: one timer for all of them."""

import asyncio


class Deadlines:
    """Ends tasks that take too long, as `asyncio.timeout` does, without a timer for each.

    Of one event loop. The timer is set to the oldest call: the next one is due after it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: dict[asyncio.Task[object], float] = {}  # in the order of their beginnings
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[object]) -> None:
        """From now on a task has so many seconds."""
        loop = task.get_loop()
        self._due[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._sweep, loop)

    def end(self, task: asyncio.Task[object]) -> bool:
        """Whether a task, which is done, was in time."""
        return self._due.pop(task, None) is not None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._due:
            task, due = next(iter(self._due.items()))
            if due > now:
                self._timer = loop.call_at(due, self._sweep, loop)
                return
            del self._due[task]
            task.cancel()
        self._timer = None
