"""The steps of a piece of work: when each began and ended, for whoever wants to know."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One step; `began` and `ended` are nanoseconds since 1970, `failed` is what ended it."""

    name: str
    began: int
    ended: int
    failed: str = ""


_taken: ContextVar[list[Step] | None] = ContextVar("steps", default=None)


@contextmanager
def collecting() -> Iterator[list[Step]]:
    """The steps that are taken meanwhile, in the order in which they end."""
    found: list[Step] = []
    token = _taken.set(found)
    try:
        yield found
    finally:
        _taken.reset(token)


@contextmanager
def step(name: str) -> Iterator[None]:
    """One step, as a block or as the decorator of a function."""
    found = _taken.get()
    if found is None:
        yield
        return
    began, failed = time.time_ns(), ""
    try:
        yield
    except BaseException as error:
        failed = type(error).__name__
        raise
    finally:
        found.append(Step(name, began, time.time_ns(), failed))
