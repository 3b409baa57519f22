"""A Redis that may be away: what its clients share."""

import logging
import time
from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 0.25


def options() -> dict[str, Any]:
    """How to connect: at once or not at all, where redis-py's own retries wait for seconds."""
    return {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
    }


class Outage:
    """Leaves a server alone for a second after it failed, so that few calls wait for it.

    It logs once that the server is away, and once that it is back.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._well = True
        self._again_at = 0.0

    @property
    def pausing(self) -> bool:
        """Whether the server should not be asked now."""
        return time.monotonic() < self._again_at

    def begin(self, error: BaseException) -> None:
        """The server failed."""
        self._again_at = time.monotonic() + PAUSE_SECONDS
        if self._well:
            self._log.warning("Redis is away, %s: %s", self._what, _cause(error))
        self._well = False

    def end(self) -> None:
        """The server answered."""
        if not self._well:
            self._log.info("Redis is back")
        self._well = True


def _cause(error: BaseException) -> str:
    while error.__cause__:
        error = error.__cause__
    return str(error) or type(error).__name__
