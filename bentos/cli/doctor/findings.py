"""What a check finds, and what becomes of a row of checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bentos.cli.doctor.ground import Ground

State: TypeAlias = Literal["ok", "warning", "failure"]


@dataclass(frozen=True)
class Found:
    """How it stands with one thing; `mend` says what to set or do about it."""

    state: State
    text: str
    mend: str = ""


Check: TypeAlias = Callable[[Ground], Found]
Chain: TypeAlias = tuple[Check, ...]  # each needs that those before it did not fail


@dataclass(frozen=True)
class Finding:
    """What a check of a subject found."""

    subject: str
    check: str
    state: State
    text: str
    mend: str = ""


def ok(text: str) -> Found:
    """It is as it should be."""
    return Found("ok", text)


def warning(text: str, mend: str) -> Found:
    """Something does not work, or soon will not; the services serve all the same."""
    return Found("warning", text, mend)


def failure(text: str, mend: str) -> Found:
    """The services cannot do their work so."""
    return Found("failure", text, mend)


def examine(ground: Ground, subjects: Mapping[str, Iterable[Chain]]) -> Iterator[Finding]:
    """Every finding as it is made. What a check raises is its failure."""
    for subject, chains in subjects.items():
        for chain in chains:
            for check in chain:
                found = _found(check, ground)
                name = check.__name__.replace("_", " ")
                yield Finding(subject, name, found.state, found.text, found.mend)
                if found.state == "failure":
                    break


def _found(check: Check, ground: Ground) -> Found:
    try:
        return check(ground)
    except Exception as error:
        return failure(" ".join(str(error).split()) or repr(error), "")
