"""The versions that are on their way: each is brought in a thread, a few at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from bentos.promotion.follower import Follower

AT_ONCE = 2


class Admissions:
    """One version at a time for each channel of a slot; `ended` is called after each."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="admission")
        self._running: dict[str, Future[None]] = {}

    def begin(self, follower: Follower) -> None:
        """Bring what a follower wants, unless it is at it already."""
        name = f"{follower.slot.name} {follower.slot.channel}"
        running = self._running.get(name)
        if running is None or running.done():
            self._running[name] = self._threads.submit(self._bring, follower)

    def wait(self, seconds: float) -> None:
        """Return once all that began have ended, or after so many seconds."""
        wait(list(self._running.values()), seconds)

    def close(self) -> None:
        """Begin no more; what runs is waited for by nobody."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _bring(self, follower: Follower) -> None:
        follower.bring()
        self._ended()
