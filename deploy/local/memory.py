"""How much of the services the machine has memory for."""

import psutil

from bentos.memory import allowed

TWO_WORKERS_BYTES = 5 * 1024**3  # all of the stack with two, while it trains and judges a version


def workers() -> int:
    """Two, so that one answers while the other is started again; one where memory is short."""
    return 2 if min(psutil.virtual_memory().available, allowed()) >= TWO_WORKERS_BYTES else 1
