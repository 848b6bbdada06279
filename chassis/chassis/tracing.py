"""Traces by OpenTelemetry when an OTLP endpoint is set; without one, `traceparent` is handed on and that is all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, TypeAlias

from chassis import context

Kind: TypeAlias = Literal["server", "client", "producer", "consumer", "internal"]
SpanMaker: TypeAlias = Callable[[str, Kind, dict[str, Any]], AbstractContextManager[None]]

_make_span: SpanMaker | None = None


def configure(service: str, otlp_endpoint: str) -> Callable[[], None]:
    """Export spans to `otlp_endpoint` (OTLP over HTTP). Returns what flushes and ends it. Empty: traces are off."""
    global _make_span
    if not otlp_endpoint:
        return lambda: None
    # Imported only now: the SDK costs a third of a service's start and memory, which most runs need not pay.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=5))
    )
    tracer = provider.get_tracer("cartwright")
    propagator = TraceContextTextMapPropagator()
    kinds = {kind.name.lower(): kind for kind in trace.SpanKind}

    @contextmanager
    def make_span(name: str, kind: Kind, attributes: dict[str, Any]) -> Iterator[None]:
        carrier = {"traceparent": parent} if (parent := context.traceparent()) else {}
        with tracer.start_as_current_span(
            name, context=propagator.extract(carrier), kind=kinds[kind], attributes=attributes
        ):
            outgoing: dict[str, str] = {}
            propagator.inject(outgoing)
            with context.traced_as(outgoing.get("traceparent")):
                yield

    _make_span = make_span
    return provider.shutdown


def span(name: str, kind: Kind = "internal", **attributes: Any) -> AbstractContextManager[None]:
    """A span around the enclosed work, child of the current `traceparent`, which it replaces within."""
    if _make_span is None:
        return nullcontext()
    return _make_span(name, kind, attributes)
