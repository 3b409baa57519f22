"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("training")


def track(items: Iterable[T], total: int, label: str, every: float = 5.0) -> Iterator[T]:
    """Pass `items` on and show how many of `total` are done; in a log, every few seconds."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=label, leave=False)
        return
    told = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - told >= every:
            told = time.monotonic()
            log.info("%s: %d of %d", label, done, total)
