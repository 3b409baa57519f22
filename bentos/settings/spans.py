"""Spans of time, as people write them."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> timedelta:
    """What `7d`, `12h` or `30m` says. Raises ValueError."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of time: write it as 7d, 12h or 30m")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def _checked(text: str) -> str:
    if text:
        span(text)
    return text


Span = Annotated[str, AfterValidator(_checked)]
