"""`GET /history`: what served when, and who was refused why. The registry is not asked."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from sqlite3 import Error as LedgerError
from typing import Annotated

import msgspec

from bentos.promotion.event import Event
from bentos.promotion.ledger import Ledger
from bentos.web.body import decode_query
from bentos.web.endpoint import Answer, Endpoint, Handler
from bentos.web.errors import (
    Failure,
    HTTPError,
    Problem,
    Unavailable,
    UnprocessableBody,
    clip,
)

MOST = 10_000


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The latest `limit` events of a model; with `at`, what served then on each channel.

    `at` is a time in ISO 8601, in UTC when it names no zone.
    """

    model: str
    at: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 100


class History(msgspec.Struct, frozen=True):
    """Events, oldest first; each once, though every worker records it."""

    model: str
    events: list[Event]


def history(
    ledger: Ledger,
    models: Collection[str],
    racks: Sequence[str],
    query: Iterable[tuple[str, str]],
) -> History:
    """Answer a query on one of `models`, or on one that a rack of those patterns had.

    Raises HTTPError 404 for another model, 422 naming a bad parameter, 503 for a broken ledger.
    """
    question = decode_query(query, Question)
    at = _time(question.at) if question.at else None
    model = question.model
    fits = any(fnmatchcase(model, pattern) for pattern in racks)
    try:
        if model not in models and not (fits and ledger.history(model, 1)):
            known = ", ".join(models)
            raise HTTPError(404, f"No slot here is named {clip(model)!r}; there is {known}")
        events = _served(ledger, model, at) if at else ledger.history(model, question.limit)
    except LedgerError as error:
        raise Unavailable(f"The ledger cannot be read: {error}") from error
    return History(model, events)


def _served(ledger: Ledger, model: str, at: datetime) -> list[Event]:
    """The last swap of each channel: a replica that has ended is still in the ledger."""
    return list({event.channel: event for event in ledger.serving_at(model, at)}.values())


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = Problem(
            ["query", "at"],
            "Expected a time such as 2026-03-01T12:00 or 2026-03-01T12:00+01:00 "
            f"(in a URL, + is %2B), got {clip(text)!r}",
            "wrong_value",
        )
        raise UnprocessableBody(problem) from None


def endpoint(handler: Handler) -> Endpoint:
    """Where the history is asked for."""
    return Endpoint(
        "GET",
        "/history",
        handler,
        "What served when, and who was refused why",
        {
            200: Answer("The events, oldest first", History),
            404: Answer("No slot of that name", Failure),
            503: Answer("The service is still starting", Failure),
        },
        description="With `at`, the release that served then.",
        query=Question,
    )
