"""Traces by OpenTelemetry when an OTLP endpoint is set; without one, `traceparent` is handed on and that is all.

Whether a purchase is traced is decided once, where it comes in, and told by the flag in its `traceparent`. Nothing but
a request begins a trace, so loops that look for work leave none.

Work that goes together belongs to many traces. Each of them gets a span of its own over the time that the common work
takes, and what the work does beneath goes into one of them, to which the others have a link. So every purchase is
whole in its own trace, whatever it shared a batch with.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from chassis.telemetry.span_types import Attributes, Kind, TellAnswer

if TYPE_CHECKING:
    from chassis.telemetry.spans import Spans

_spans: "Spans | None" = None
_NOTHING: AbstractContextManager[None] = nullcontext()
_NO_TRACES: AbstractContextManager[Sequence[str | None]] = nullcontext(())
NOT_TRACED: AbstractContextManager[TellAnswer] = nullcontext(lambda _path, _status: None)
"""In place of `request`."""


def configure(service: str, otlp_endpoint: str, ratio: float, instance: str) -> Callable[[], None]:
    """Export spans to `otlp_endpoint` (OTLP over HTTP). Returns what flushes and ends it. Empty: traces are off.

    `ratio` is the share that is traced of the requests whose sender has not decided it: 0 to 1.
    """
    global _spans
    if not otlp_endpoint:
        return lambda: None
    # Imported only now: the SDK costs a third of a service's start and memory, which most runs need not pay.
    from chassis.telemetry.spans import Spans

    _spans = Spans(service, otlp_endpoint, ratio, instance)
    return _end


def _end() -> None:
    global _spans
    if _spans is not None:
        _spans.end()
        _spans = None


def span(name: str, kind: Kind = "internal", attributes: Attributes | None = None) -> AbstractContextManager[None]:
    """A span around the enclosed work, child of the current `traceparent`, which it replaces within.

    None where the current work is not traced.
    """
    return _NOTHING if _spans is None else _spans.span(name, kind, attributes)


def request(method: str, correlation_id: str) -> AbstractContextManager[TellAnswer]:
    """A span around a request that is served: it continues the caller's trace, or begins one."""
    return NOT_TRACED if _spans is None else _spans.request(method, correlation_id)


def together(kind: Kind, work: Iterable[tuple[str, str | None]]) -> AbstractContextManager[Sequence[str | None]]:
    """A span for each piece of `work` that is done together: its name, and the `traceparent` that it belongs to.

    Answers the `traceparent` to hand on for each, in order; nothing at all while traces are off. Of what a call brings
    (kind `server`), the trace that the call itself is in gets no other span: what is done is seen in it already.
    """
    return _NO_TRACES if _spans is None else _spans.together(kind, work)
