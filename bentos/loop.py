"""The background loop: something is looked at again and again, in a thread of its own."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

log = logging.getLogger(__name__)

NEWS_SECONDS = 0.25  # between two times of asking whether there are news


def _nothing(*_: object) -> None:
    pass


def _never() -> bool:
    return False


class Loop:
    """Calls `look` from `start` to `stop`, and at once after `wake`.

    `pause` gives the seconds to the next look, by how many failed in a row. An error of `passing`
    explains itself; any other is logged with its trace. `meanwhile` says what holds until a look
    goes well again. `begin` and `end` are called in the loop's thread, around all looks, `looked`
    after each of them, with its trouble. `has_news`, which must cost next to nothing, ends a
    pause.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], None],
        pause: Callable[[int], float],
        passing: tuple[type[Exception], ...],
        meanwhile: str,
        begin: Callable[[], None] = _nothing,
        end: Callable[[], None] = _nothing,
        looked: Callable[[str], None] = _nothing,
        has_news: Callable[[], bool] = _never,
    ) -> None:
        self.name = name
        self.trouble = f"{name}: not looked at yet"  # why the last look failed
        self._look = look
        self._pause = pause
        self._passing = passing
        self._meanwhile = meanwhile
        self._begin = begin
        self._end = end
        self._looked = looked
        self._has_news = has_news
        self.failures = 0  # in a row
        self._stopping = False
        self._wake = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float = 0.0) -> None:
        """Stop looking; wait so long for a look that is under way, and for the end."""
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    def look_safely(self) -> None:
        """Look, and note how it went."""
        try:
            self._look()
        except self._passing as error:
            self._fail(str(error))
        except Exception:
            log.exception("a look at %s failed", self.name)
            self._fail(f"an internal error while looking at {self.name}; see the service's log")
        else:
            self.succeed()
        self._looked(self.trouble)

    def succeed(self) -> None:
        """Note that a look went well, maybe one in another thread."""
        self.trouble, self.failures = "", 0

    def _run(self) -> None:
        self._begin()
        while not self._stopping:
            self.look_safely()
            self._rest(self._pause(self.failures))
            self._wake.clear()
        self._end()

    def _rest(self, seconds: float) -> None:
        """Wait so long, or until woken, or until there are news."""
        if self._has_news is _never:
            self._wake.wait(seconds)
            return
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._has_news():
            if self._wake.wait(min(left, NEWS_SECONDS)):
                return

    def _fail(self, trouble: str) -> None:
        self.failures += 1
        if self.trouble != trouble:
            log.warning("%s; %s", trouble, self._meanwhile)
        self.trouble = trouble
