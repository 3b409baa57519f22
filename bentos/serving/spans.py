"""The spans of a batch: how long each call waited, the batch itself, and its model within.

A batch of one call is part of that call's trace. One of several is a trace of its own, linked to
the spans of its calls, as each call's wait is to it: a span has one parent, and a batch outlives
some of its calls.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from bentos.serving.release import Release
from bentos.serving.waiting import Call, Came, Part
from bentos.tensors import BadInput
from bentos.tracing import fail, tracer

Outcomes = Callable[[Release, list[Part[Any, Any]]], list[Any]]
Run = Callable[[Release, Sequence[Any]], Sequence[Any]]


class Spans:
    """Those of one batcher, which runs one batch at a time."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._batch: Span | None = None

    def note(self, call: Call[Any, Any]) -> None:
        """A call begins to wait."""
        span = get_current_span()
        if span.is_recording():
            call.came = Came(span.get_span_context(), time.time_ns())

    def around(
        self, outcomes: Outcomes, release: Release, parts: list[Part[Any, Any]]
    ) -> list[Any]:
        """What a batch ends in."""
        came = [(part, part.call.came) for part in parts if part.call.came]
        if not came:
            return outcomes(release, parts)
        begun, spans = time.time_ns(), [one.span for _, one in came]
        parent = _within(spans[0]) if len(parts) == 1 else Context()
        self._batch = batch = self._tracer.start_span(
            "batch",
            parent,
            attributes=_told(release, sum(len(part.rows) for part in parts), len(parts)),
            links=[Link(span) for span in spans],
            start_time=begun,
        )
        for part, one in came:
            if part.start == 0:
                self._waited(one, begun, batch)
        try:
            found = outcomes(release, parts)
            if broken := [one for one in found if _is_broken(one)]:
                fail(batch, type(broken[0]).__name__)
        finally:
            self._batch = None
            batch.end()
        return found

    def model(self, run: Run) -> Run:
        """`run` with a span around, if its batch has one."""

        def spanned(release: Release, rows: Sequence[Any]) -> Sequence[Any]:
            if self._batch is None:
                return run(release, rows)
            context = set_span_in_context(self._batch, Context())
            span = self._tracer.start_span("model", context, attributes=_told(release, len(rows)))
            try:
                return run(release, rows)
            except BaseException as error:
                fail(span, type(error).__name__)
                raise
            finally:
                span.end()

        return spanned

    def _waited(self, came: Came, until: int, batch: Span) -> None:
        links = [Link(batch.get_span_context())]
        waits = self._tracer.start_span(
            "wait", _within(came.span), links=links, start_time=came.at
        )
        waits.end(until)


def spans() -> Spans | None:
    """For a batcher, if this process traces."""
    made = tracer()
    return Spans(made) if made else None


def _within(span: SpanContext) -> Context:
    return set_span_in_context(NonRecordingSpan(span), Context())


def _told(release: Release, rows: int, calls: int = 0) -> dict[str, str | int]:
    version = release.version
    told: dict[str, str | int] = {
        "ascenso.model": version.name,
        "ascenso.version": version.version,
        "ascenso.rows": rows,
    }
    return told | ({"ascenso.calls": calls} if calls else {})


def _is_broken(outcome: object) -> bool:
    """Whether a call has no answer, for no fault of its caller's."""
    return isinstance(outcome, Exception) and not isinstance(outcome, BadInput)
