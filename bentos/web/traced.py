"""A span for each call: its context comes in `traceparent`, and goes back in `traceresponse`.

Names are those of OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from opentelemetry import propagate
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.tracing import fail, here
from bentos.web.headers import VERSION_HEADER
from bentos.web.request_ids import HEADER, request_id

RESPONSE = b"traceresponse"  # https://w3c.github.io/trace-context/#trace-context-http-response-headers-format
QUIET = ("/livez", "/readyz", "/healthz", "/metrics")  # asked all the time, by machines
Headers = Iterable[tuple[bytes, bytes]]


class _OfHeaders(Getter[Headers]):
    """Reads what came of the context of a trace."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        name = key.lower().encode()
        return [value.decode("latin-1") for found, value in carrier if found == name] or None

    def keys(self, carrier: Headers) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_GETTER = _OfHeaders()


class Site(Protocol):
    """What knows which paths take the fast route."""

    def short(self, path: str) -> ASGIApp | None:
        """What answers POSTs to a path, if they do."""
        ...


@contextmanager
def called(tracer: Tracer, name: str, scope: Scope) -> Iterator[Span]:
    """The span of a call, as part of the trace that its headers name."""
    context = propagate.extract(scope["headers"], getter=_GETTER)
    with tracer.start_as_current_span(
        name, context, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ) as span:
        if given := request_id(scope):
            span.set_attribute(f"http.request.header.{HEADER}", [given.decode()])
        try:
            yield span
        except Exception as error:
            fail(span, type(error).__name__)
            raise


def response() -> tuple[bytes, bytes]:
    """The header that tells a caller the trace of its call."""
    now = here()
    return RESPONSE, f"00-{now['trace_id']}-{now['span_id']}-01".encode()


class Traced:
    """An ASGI app whose calls are traced, but for those that look whether it is well."""

    def __init__(self, site: Site, app: ASGIApp, tracer: Tracer) -> None:
        self._site = site
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].endswith(QUIET):
            await self._app(scope, receive, send)
            return
        with called(self._tracer, scope["method"], scope) as span:

            async def answered(message: Message) -> None:
                if message["type"] == "http.response.start" and span.is_recording():
                    headers = list(message.get("headers", ()))
                    self._tell(span, scope, message["status"], dict(headers))
                    message = {**message, "headers": [*headers, response()]}
                await send(message)

            await self._app(scope, receive, answered)

    def _tell(self, span: Span, scope: Scope, status: int, headers: Mapping[bytes, bytes]) -> None:
        span.set_attribute("http.request.method", scope["method"])
        span.set_attribute("url.path", scope["path"])
        span.set_attribute("url.scheme", scope["scheme"])
        span.set_attribute("http.response.status_code", status)
        if status != 404:  # anybody may ask for any path
            route = self._route(scope)
            span.set_attribute("http.route", route)
            span.update_name(f"{scope['method']} {route}")
        if release := headers.get(VERSION_HEADER.encode()):
            span.set_attribute("ascenso.release", release.decode())
        if status >= 500:
            fail(span, str(status))

    def _route(self, scope: Scope) -> str:
        """The path, without what differs from call to call."""
        path: str = scope["path"]
        if scope["method"] == "POST" and self._site.short(path) is not None:
            return path
        for name, value in scope.get("path_params", {}).items():
            path = path.replace(str(value), f"{{{name}}}") if value else path
        return path
