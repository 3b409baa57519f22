"""Traces by OpenTelemetry, of what this process does; none until `begin`.

Where they go, and which are sampled, is said by the standard variables:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from bentos.settings import TracingSettings
from bentos.tracing.steps import Step

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer
    from opentelemetry.util.types import AttributeValue

NAME = "ascenso"
END_SECONDS = 5.0
OTLP = "opentelemetry.exporter.otlp.proto.http"


@dataclass
class _Tracing:
    provider: "TracerProvider | None" = None
    tracer: "Tracer | None" = None
    file: IO[str] | None = None


_tracing = _Tracing()


def tracer() -> "Tracer | None":
    """What makes spans, if there are to be any."""
    return _tracing.tracer


def check(settings: TracingSettings) -> None:
    """Raise ValueError where spans are to go out by a package that is not there."""
    if settings.exporter == "otlp" and not _is_there(OTLP):
        raise ValueError("tracing.exporter is otlp: it needs `pip install 'ascenso[tracing]'`")


def begin(settings: TracingSettings, service: str) -> None:
    """Trace from now on what this process does, as `service`, if the settings say so."""
    if settings.exporter == "none":
        return
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from bentos.tracing.sampling import Kept

    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    provider.sampler = Kept(provider.sampler)
    provider.add_span_processor(BatchSpanProcessor(_exporter(settings)))
    _tracing.provider = provider
    _tracing.tracer = provider.get_tracer(NAME)


def end() -> None:
    """Send what was not sent yet, if it can be soon, and trace no more."""
    provider, _tracing.provider, _tracing.tracer = _tracing.provider, None, None
    if provider:  # whose own timeout is half a minute, and a roll-out waits for it
        ending = Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(END_SECONDS)
    if _tracing.file:
        _tracing.file.close()
        _tracing.file = None


@contextmanager
def span(name: str, root: bool = False, **attributes: Any) -> Iterator[None]:
    """Work within a trace that is going on, or at the `root` of one.

    Attributes get the prefix `ascenso.`; of an error its class is told, as its message may hold
    what a caller sent.
    """
    tracer = _tracing.tracer
    if tracer is None or not (root or here()):
        yield
        return
    known = {f"{NAME}.{key}": value for key, value in attributes.items()}
    with tracer.start_as_current_span(
        name, attributes=known, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield
        except BaseException as error:
            fail(made, type(error).__name__)
            raise


def fail(span: "Span", what: str) -> None:
    """Say of a span that its work failed, with the class of the error, or its status."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)


def note(failed: str = "", **attributes: str) -> None:
    """Say more of the work that is going on, and whether it failed."""
    if _tracing.tracer is None:
        return
    from opentelemetry.trace import get_current_span

    now = get_current_span()
    now.set_attributes({f"{NAME}.{key}": value for key, value in attributes.items()})
    if failed:
        fail(now, failed)


def took(steps: Iterable[Step]) -> None:
    """Steps of another process are part of the work that is going on."""
    tracer = _tracing.tracer
    if tracer is None or not here():
        return
    for step in steps:
        made = tracer.start_span(step.name, start_time=step.began)
        if step.failed:
            fail(made, step.failed)
        made.end(step.ended)


def carry(headers: Any) -> None:
    """Let a call to others know the trace that it is part of, by `traceparent`."""
    if _tracing.tracer is None or not here():
        return
    from opentelemetry import propagate

    propagate.inject(headers)


def here() -> dict[str, str]:
    """The `trace_id` and `span_id` of the work that is going on, if it is traced."""
    if _tracing.tracer is None:
        return {}
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    trace_id, span_id = format_trace_id(context.trace_id), format_span_id(context.span_id)
    return {"trace_id": trace_id, "span_id": span_id}


def _resource(service: str) -> "Resource":
    from opentelemetry.sdk.resources import Resource

    own: dict[str, AttributeValue] = {
        "process.pid": os.getpid(),
        "host.name": socket.gethostname(),
    }
    said = Resource.create()  # by the variables
    if str(said.attributes["service.name"]).startswith("unknown_service"):
        own["service.name"] = service
    return said.merge(Resource(own))


def _exporter(settings: TracingSettings) -> "SpanExporter":
    if settings.exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter

    if settings.file is None:
        return ConsoleSpanExporter(out=sys.stderr, formatter=_line)
    _tracing.file = settings.file.open("a", buffering=1)  # a write a line: workers share it
    return ConsoleSpanExporter(out=_tracing.file, formatter=_line)


def _line(span: "ReadableSpan") -> str:
    return f"{span.to_json(indent=None)}\n"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
