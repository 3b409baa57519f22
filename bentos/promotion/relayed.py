"""The registry as a relay keeps it, if its address is a relay's, which says when it changes."""

import logging
import random
from collections.abc import Callable, Mapping
from threading import Event, Lock

from bentos.loop import Loop
from bentos.promotion.pauses import backoff
from bentos.registry.access import connected
from bentos.registry.changes import NOTHING, Seen, ask, is_relay
from bentos.registry.client import Model, RegistryUnavailable

log = logging.getLogger(__name__)

WAIT_SECONDS = 10.0  # for a change; a relay that is gone without a word is missed after that
LONGEST = 5.0  # seconds until a relay that went away is tried again
PROBE_SECONDS = 300.0  # until a server that is no relay is asked again what it is


class Relayed:
    """What a relay says, from `start` to `stop`. `changed` is called when there is news.

    Nothing is kept while no relay answers: then the registry is to be asked.
    """

    def __init__(self, uri: str, timeout: float, changed: Callable[[], None]) -> None:
        self._http = connected(uri, timeout)  # to the relay alone
        self._timeout = timeout
        self._changed = changed
        self._seen: Seen | None = None
        self._unknown = True  # whether a relay is there: nothing answers
        self._lock = Lock()
        self._tried = Event()
        self._tried.set()
        self._stopping = False
        self._loop = Loop(
            "the relay", self._listen, self._pause, (RegistryUnavailable,),
            "without it, the registry is asked at its own address, if registry.direct says it",
        )  # fmt: skip

    def start(self) -> None:
        """Begin to listen, if a relay is there."""
        self._tried.clear()
        self._loop.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping = True
        self._loop.stop()
        self._http.close()

    def models(self, fresh: bool = False) -> Mapping[str, Model] | None:
        """All models, the same object until something changes; None without a relay.

        `fresh`: as of a look that the relay begins now.
        """
        self._tried.wait(self._timeout)
        if fresh and self._seen:
            try:
                self._ask(0, fresh=True)
            except (RegistryUnavailable, RuntimeError) as error:  # or it is closed
                log.warning("%s", error)
                return None
        seen = self._seen
        return seen.models if seen else None

    def _listen(self) -> None:
        before = self._seen
        try:
            if before is None and not self._is_there():
                return
            self._ask(WAIT_SECONDS if before else 0)
        except (RegistryUnavailable, RuntimeError):  # httpx raises that once it is closed
            self._seen = None
            if not self._stopping:
                raise
        finally:
            self._tried.set()
            if self._seen is not before:
                self._changed()

    def _is_there(self) -> bool:
        try:
            self._unknown = False
            return is_relay(self._http)
        except RegistryUnavailable:  # who looks at the registry says so
            self._unknown = True
            return False

    def _ask(self, wait: float, fresh: bool = False) -> None:
        """Ask for what is not as it was seen, unless another thread has learnt that meanwhile."""
        before = self._seen or NOTHING
        seen = ask(self._http, before, wait, fresh)
        with self._lock:
            if before is (self._seen or NOTHING):
                self._seen = seen

    def _pause(self, failures: int) -> float:
        if failures:
            return backoff(failures, 1.0, LONGEST)
        if self._seen:
            return 0.0
        return (LONGEST if self._unknown else PROBE_SECONDS) * random.uniform(0.5, 1)  # noqa: S311
