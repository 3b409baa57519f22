"""A collector of traces, as one of OpenTelemetry takes them over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """One span; ids are hexadecimal, `parent` is empty for a root, `links` are span ids."""

    name: str
    trace: str
    id: str
    parent: str
    links: list[str]
    began: int
    ended: int
    attributes: dict[str, Any]
    service: str
    failed: bool


class Collector:
    """What came so far."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.url = ""

    def of(self, trace: str) -> dict[str, Span]:
        """The spans of a trace by name."""
        return {span.name: span for span in self.spans if span.trace == trace}

    def take(self, body: bytes) -> None:
        for one in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(one.resource.attributes)["service.name"]
            self.spans += [_span(s, service) for scope in one.scope_spans for s in scope.spans]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _span(span: Any, service: str) -> Span:
    return Span(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        [link.span_id.hex() for link in span.links], span.start_time_unix_nano,
        span.end_time_unix_nano, _values(span.attributes), service, span.status.code == 2,
    )  # fmt: skip


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens; its `url` is what OTEL_EXPORTER_OTLP_ENDPOINT wants."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces", self.path
            collector.take(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
