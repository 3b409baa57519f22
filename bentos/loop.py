"""The background loop: something is looked at again and again, in a thread of its own."""

import logging
import time
from collections.abc import Callable, Collection
from math import inf
from pathlib import Path
from threading import Event, Thread

from bentos.notices import Notices

log = logging.getLogger(__name__)

NEWS_SECONDS = 0.25  # between two times of asking whether there are news
STIRRED_SECONDS = 1.0  # that it is asked so often after a notice
QUIET_SECONDS = 5.0  # between two times while the system would notice it


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
    pause; it is asked when one of the files `news_in` was written, where the system tells that.
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
        news_in: Collection[Path] = (),
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
        self._news_in = news_in
        self._notices: Notices | None = None
        self._stirred = 0.0  # when something was last written, by time.monotonic()
        self.failures = 0  # in a row
        self._stopping = False
        self._woken = False
        self._wake = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, seconds: float = 0.0) -> None:
        """Stop looking; wait so long for a look that is under way, and for the end."""
        self._stopping = True
        self.wake()
        self._thread.join(seconds)

    def wake(self) -> None:
        """Look at once."""
        self._woken = True
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
            self._listen()
            self._rest(self._pause(self.failures))
            self._woken = False
            self._wake.clear()
        if self._notices:
            self._notices.close()
        self._end()

    def _rest(self, seconds: float) -> None:
        """Wait so long, or until woken, or until there are news."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not (self._woken or self._has_news()):
            self._wake.wait(min(left, self._patience()))
            self._wake.clear()

    def _patience(self) -> float:
        """Seconds until it is asked again whether there are news."""
        if self._has_news is _never:
            return inf
        told = self._notices is not None and self._notices.come
        still = time.monotonic() - self._stirred > STIRRED_SECONDS
        return QUIET_SECONDS if told and still else NEWS_SECONDS

    def _listen(self) -> None:
        if self._news_in and not (self._notices and self._notices.come):
            try:
                self._notices = Notices(self._news_in, self._stir)
            except OSError as error:
                log.debug("%s is looked at four times a second: %s", self.name, error)

    def _stir(self) -> None:
        self._stirred = time.monotonic()
        self._wake.set()

    def _fail(self, trouble: str) -> None:
        self.failures += 1
        if self.trouble != trouble:
            log.warning("%s; %s", trouble, self._meanwhile)
        self.trouble = trouble
