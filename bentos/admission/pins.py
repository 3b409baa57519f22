"""What a version was at its first admission, noted with it: trust on first use.

Its files have a digest. Its samples have answers, which other libraries might give otherwise.
"""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bentos.admission.manifest import sha256
from bentos.protocols.rows import Rows
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.registry.tags import ANSWERS_TAG, PIN_TAG
from bentos.tensors import BadInput, Batch, Schema

MOST_ROWS = 8
LONGEST = 4000  # characters; the registry takes 5000 in a tag
RELATIVE, ABSOLUTE = 1e-5, 1e-8  # as of samples that a training stored


class Answered(msgspec.Struct, frozen=True):
    """Rows and their answers, as callers send and get them."""

    rows: list[Any]
    answers: list[Any]


def check_files(version: Version, folder: Path) -> str:
    """The digest of all files, which is the one of the first admission, or Refusal."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{sha256(path)}\n".encode())
    found, pinned = f"sha256:{digest.hexdigest()}", version.tag(PIN_TAG)
    if pinned and pinned != found:
        raise Refusal(
            "digest",
            f"the files are {found}, but at the first admission they were {pinned}: restore them "
            f"in the store, or delete the version's tag {PIN_TAG} if the change is yours",
        )
    return found


def check_answers(
    version: Version, schema: Schema, predict: Callable[[Batch], Batch], samples: Batch
) -> str:
    """What samples are answered with: as at the first admission, or Refusal.

    Nothing where no caller could send them, or they are too long to be noted.
    """
    pinned = version.tag(ANSWERS_TAG)
    if not pinned:
        return _noted(schema, predict, samples)
    try:
        before = msgspec.json.decode(pinned, type=Answered)
        found = _answers(schema, predict, before.rows)
    except Exception as error:
        raise _changed(f"its first samples cannot be asked now: {error}") from error
    small = max(ABSOLUTE, RELATIVE * _largest(before.answers))
    for row, now, then in zip(before.rows, found, before.answers, strict=False):
        if not alike(now, then, small):
            raise _changed(f"{row} is answered with {now}, and then it was {then}")
    return pinned


def alike(one: Any, other: Any, small: float) -> bool:
    """Whether two values of JSON are equal, numbers as far as machines agree.

    Sums of large parts may be nearly zero: numbers that are `small` apart are equal.
    """
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            alike(now, then, small) for now, then in zip(one, other, strict=True)
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            alike(one[name], other[name], small) for name in one
        )
    if isinstance(one, float) or isinstance(other, float):
        numbers = all(type(value) in (int, float) for value in (one, other))
        return numbers and math.isclose(one, other, rel_tol=RELATIVE, abs_tol=small)
    return bool(one == other)


def _largest(value: Any) -> float:
    """The size of the largest number in a value of JSON."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return max(map(_largest, value), default=0.0)
    return abs(value) if isinstance(value, float) else 0.0


def sent(schema: Schema, rows: Batch) -> list[Any]:
    """Rows as callers send them."""
    made: list[dict[str, Any]] = msgspec.json.decode(Rows(schema, rows.size).encode(rows, True))
    if schema.single is not None:
        return [row[schema.single.name] for row in made]
    return [list(row.values()) for row in made] if schema.positional else list(made)


def _noted(schema: Schema, predict: Callable[[Batch], Batch], samples: Batch) -> str:
    rows = sent(schema, samples.rows(0, min(MOST_ROWS, samples.size)))
    try:
        answers = _answers(schema, predict, rows)
    except BadInput:  # of values that JSON has not, as an example of NaN
        return ""
    for count in range(len(rows), 0, -1):
        noted = msgspec.json.encode(Answered(rows[:count], answers[:count])).decode()
        if len(noted) <= LONGEST:
            return noted
    return ""


def _answers(schema: Schema, predict: Callable[[Batch], Batch], rows: list[Any]) -> list[Any]:
    protocol = Rows(schema, len(rows))
    answers = predict(protocol.decode(msgspec.json.encode(rows)).batch)
    made: list[Any] = msgspec.json.decode(protocol.encode(answers, many=True))
    return made


def _changed(what: str) -> Refusal:
    return Refusal(
        "samples",
        f"it does not answer as at its first admission: {what}; train it again with the libraries "
        f"that run here, or delete the version's tag {ANSWERS_TAG} if the change is right",
    )
