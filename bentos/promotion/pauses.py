"""How long to wait between looks."""

import random

from bentos.settings import RegistrySettings

MOST_DOUBLINGS = 20  # 2.0**1024 would raise, after a night without a registry


def pause(settings: RegistrySettings, failures: int) -> float:
    """Seconds until the next look: longer after each failure, and never in step with others."""
    if not failures:
        return settings.poll_seconds * random.uniform(0.8, 1)  # noqa: S311
    return backoff(failures, settings.poll_seconds * 2, settings.max_backoff_seconds)


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: `first`, doubled each time, jittered."""
    doubled: float = first * 2.0 ** min(failures - 1, MOST_DOUBLINGS)
    return min(longest, doubled) * random.uniform(0.5, 1)  # noqa: S311
