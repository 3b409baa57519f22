"""Dates and times as ISO texts and as nanoseconds. Those without a zone are in UTC."""

import re
from datetime import UTC, datetime

import numpy as np

from bentos.tensors.batch import Array

TEXT = re.compile(
    r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000
LIMIT = 2**63 - 1


def nanoseconds(text: str) -> int:
    """Nanoseconds since 1970 in UTC. Raises ValueError for what is no time from 1678 to 2261."""
    found = TEXT.fullmatch(text)
    if found is None or (found[2] and found[1].count(":") != 2):
        raise ValueError(text)
    moment = datetime.fromisoformat(found[1] + (found[3] or "Z" if ":" in found[1] else ""))
    if ":" not in found[1]:
        if found[3]:
            raise ValueError(text)
        moment = moment.replace(tzinfo=UTC)
    since = moment - EPOCH
    whole = (since.days * 86_400 + since.seconds) * SECOND + int((found[2] or "").ljust(9, "0"))
    if abs(whole) > LIMIT:
        raise ValueError(text)
    return whole


def texts(times: Array) -> list[str | None]:
    """ISO texts of a datetime64 array, flat, with as many decimals as there are."""
    written = np.datetime_as_string(times.astype("datetime64[ns]").ravel(), unit="ns")
    return [None if text == "NaT" else _short(text) for text in written.tolist()]


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if text.endswith("0") else text
