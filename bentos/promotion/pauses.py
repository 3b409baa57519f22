"""How long to wait between looks."""

import random
import time

from bentos.registry.access import is_loopback
from bentos.settings import RegistrySettings, Settings

MOST_DOUBLINGS = 20  # 2.0**1024 would raise, after a night without a registry
LONGEST_NEARBY = 5.0  # seconds; a server on this machine need not be spared


def pause(settings: RegistrySettings, failures: int, longest: float | None = None) -> float:
    """Seconds until the next look: longer after each failure, and never in step with others."""
    if not failures:
        return settings.poll_seconds * random.uniform(0.8, 1)  # noqa: S311
    return backoff(failures, settings.poll_seconds * 2, longest or settings.max_backoff_seconds)


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: `first`, doubled each time, jittered."""
    doubled: float = first * 2.0 ** min(failures - 1, MOST_DOUBLINGS)
    return min(longest, doubled) * random.uniform(0.5, 1)  # noqa: S311


def longest(settings: Settings) -> float:
    """The longest pause between two looks at the registry, or two tries of a version."""
    bound = settings.registry.max_backoff_seconds
    return min(bound, LONGEST_NEARBY) if is_loopback(settings.tracking_uri) else bound


class Patience:
    """When something that failed for a passing reason is tried again."""

    def __init__(self, longest: float, first: float = 1.0) -> None:
        self._longest = longest
        self._first = first
        self.end()

    @property
    def calm(self) -> bool:
        """Whether nothing failed."""
        return not self._failures

    @property
    def over(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._until

    def fail(self) -> float:
        """It failed once more; gives the seconds to wait."""
        self._failures += 1
        seconds = backoff(self._failures, self._first, self._longest)
        self._until = time.monotonic() + seconds
        return seconds

    def end(self) -> None:
        """Begin anew: what stood in the way is gone."""
        self._failures, self._until = 0, 0.0
