"""A collector of traces for tests: takes OTLP over HTTP as a real one does, and shows what came."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from cartwright.launcher.layout import LOOPBACK


@dataclass(frozen=True)
class SeenSpan:
    """A span as it was exported. Ids are in hexadecimal digits; `parent` is empty for the first of a trace."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    """The ids of the spans that it is linked to."""
    failed: bool
    attributes: dict[str, str | int]
    seconds: float


class TraceCollector:
    """`endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT holds."""

    def __init__(self) -> None:
        self._spans: list[SeenSpan] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector._spans += _spans_in(ExportTraceServiceRequest.FromString(_body_of(self)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests look at the spans."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def spans(self) -> list[SeenSpan]:
        """All that came, in the order of their coming."""
        return list(self._spans)

    def trace(self, trace_id: str) -> list[SeenSpan]:
        return [span for span in self.spans() if span.trace == trace_id]


@contextlib.contextmanager
def running_collector() -> Iterator[TraceCollector]:
    collector = TraceCollector()
    try:
        yield collector
    finally:
        collector.stop()


def _body_of(request: BaseHTTPRequestHandler) -> bytes:
    """The body, whose length is told at once (by services) or chunk by chunk (by Envoy)."""
    if (length := request.headers["content-length"]) is not None:
        return request.rfile.read(int(length))
    chunks: list[bytes] = []
    while size := int(request.rfile.readline(), base=16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    request.rfile.readline()
    return b"".join(chunks)


def _spans_in(request: ExportTraceServiceRequest) -> Iterator[SeenSpan]:
    for of_resource in request.resource_spans:
        names = {attribute.key: attribute.value.string_value for attribute in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield SeenSpan(
                    service=names["service.name"],
                    name=span.name,
                    kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=tuple(link.span_id.hex() for link in span.links),
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                    attributes={each.key: each.value.string_value or each.value.int_value for each in span.attributes},
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )
