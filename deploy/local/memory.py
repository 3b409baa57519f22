"""How much of the services the machine has memory for."""

from pathlib import Path

import psutil

TWO_WORKERS_BYTES = 5 * 1024**3  # all of the stack with two, while it trains and judges a version
CONTAINER = Path("/sys/fs/cgroup/memory.max")


def workers() -> int:
    """Two, so that one answers while the other is started again; one where memory is short."""
    return 2 if min(psutil.virtual_memory().available, _limit()) >= TWO_WORKERS_BYTES else 1


def _limit() -> float:
    """What a container may have; psutil tells what its machine has."""
    text = CONTAINER.read_text().strip() if CONTAINER.exists() else "max"
    return float("inf") if text == "max" else float(text)
