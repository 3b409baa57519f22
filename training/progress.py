"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("training")


@contextmanager
def steps(total: int, label: str, every: float = 5.0) -> Iterator[Callable[[], object]]:
    """Give a function to call after each of `total` steps; a log gets a line every few seconds."""
    if sys.stderr.isatty():
        with tqdm(total=total, desc=label, leave=False) as bar:
            yield bar.update
        return
    done, shown_at = 0, time.monotonic()

    def step() -> None:
        nonlocal done, shown_at
        done += 1
        if time.monotonic() - shown_at >= every:
            shown_at = time.monotonic()
            log.info("%s: %d of %d", label, done, total)

    yield step


def track(items: Iterable[T], total: int, label: str, every: float = 5.0) -> Iterator[T]:
    """Pass `items` on and show how many of `total` are done."""
    with steps(total, label, every) as step:
        for item in items:
            yield item
            step()
