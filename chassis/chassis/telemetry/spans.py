"""The spans behind `tracing`, made by the SDK of OpenTelemetry. Imported only where an OTLP endpoint is set."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis import context

if TYPE_CHECKING:
    from chassis.telemetry.span_types import Attributes, Kind, TellAnswer

EXPORT_S_MAX = 5
"""For one batch of spans. What cannot be exported in time is given up: traces are no record."""
END_S_MAX = 2.0
"""What is left for a stop once the service has drained."""

_propagator = TraceContextTextMapPropagator()
_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_nothing: AbstractContextManager[None] = nullcontext()


class Spans:
    """Makes spans and exports them, from a thread of its own."""

    def __init__(self, service: str, otlp_endpoint: str, ratio: float, instance: str) -> None:
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(ratio),
            resource=Resource.create({"service.name": service, "service.instance.id": instance}),
            # `end` is called. At exit the SDK would wait for a collector that is away, longer than a stop may take.
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S_MAX)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("cartwright")

    def end(self) -> None:
        """Export what is left, as far as the collector takes it within `END_S_MAX`."""
        ending = threading.Thread(target=self._provider.shutdown, name="end of traces", daemon=True)
        ending.start()
        ending.join(END_S_MAX)

    def span(self, name: str, kind: "Kind", attributes: "Attributes | None") -> AbstractContextManager[None]:
        parent = context.traceparent()
        return self._spanned(name, kind, attributes, parent) if is_sampled(parent) else _nothing

    @contextmanager
    def _spanned(self, name: str, kind: "Kind", attributes: "Attributes | None", parent: str | None) -> Iterator[None]:
        span = self._tracer.start_span(name, _context_of(parent), _KINDS[kind], attributes)
        with _ended([span]), context.traced_as(_traceparent_of(span)):
            yield

    @contextmanager
    def request(self, method: str, correlation_id: str) -> Iterator["TellAnswer"]:
        parent = context.traceparent()
        attributes = {"http.request.method": method, "correlation_id": correlation_id}
        span = self._tracer.start_span(method, _context_of(parent), SpanKind.SERVER, attributes)

        def tell(path_template: str | None, status: int) -> None:
            if path_template is not None:
                span.update_name(f"{method} {path_template}")
                span.set_attribute("http.route", path_template)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)

        with _ended([span]), context.traced_as(_traceparent_of(span)):
            yield tell

    @contextmanager
    def together(self, kind: "Kind", work: Iterable[tuple[str, str | None]]) -> Iterator[Sequence[str | None]]:
        pieces = list(work)
        current = context.traceparent()
        attributes = {"batch.size": len(pieces)}
        made: dict[tuple[str, str | None], Span] = {}
        leading = current if is_sampled(current) and all(parent != current for _, parent in pieces) else None
        links = [Link(_span_context_of(leading))] if leading is not None else []
        for name, parent in pieces:
            is_seen = kind == "server" and _has_come_from(current, parent)
            if is_seen or (name, parent) in made or not is_sampled(parent):
                continue
            span = self._tracer.start_span(name, _context_of(parent), _KINDS[kind], attributes, links)
            made[name, parent] = span
            if leading is None:
                leading = _traceparent_of(span)
                links = [Link(span.get_span_context())]
        handed_on = [_traceparent_of(made[piece]) if piece in made else piece[1] for piece in pieces]
        with _ended(made.values()), context.traced_as(leading if leading is not None else current):
            yield handed_on


def is_sampled(traceparent: str | None) -> bool:
    """Whether the sender has decided that this is traced: the lowest bit of the flags."""
    return traceparent is not None and traceparent[-1] in "13579bdf"


def _has_come_from(current: str | None, parent: str | None) -> bool:
    """Whether the current work is further on in the trace of `parent`."""
    return current is not None and parent is not None and current != parent and current[3:35] == parent[3:35]


def _context_of(traceparent: str | None) -> Context:
    return _propagator.extract({} if traceparent is None else {"traceparent": traceparent}, Context())


def _span_context_of(traceparent: str) -> trace.SpanContext:
    return trace.get_current_span(_context_of(traceparent)).get_span_context()


def _traceparent_of(span: Span) -> str:
    own = span.get_span_context()
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


@contextmanager
def _ended(spans: Iterable[Span]) -> Iterator[None]:
    """End the spans when the enclosed work ends, as failed when it fails."""
    try:
        yield
    except BaseException as error:
        for span in spans:
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        raise
    finally:
        for span in spans:
            span.end()
