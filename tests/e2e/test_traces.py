"""Traces as a collector gets them: one purchase is one trace, from the gateway to the last who hears of it."""

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cartwright.launcher import api
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.servers import wait_until
from cartwright.testkit.system import SystemUnderTest, running_system
from cartwright.testkit.trace_collector import SeenSpan, TraceCollector, running_collector

BUYERS = 24
PASSWORD = "correct horse battery staple"

ON_THE_WAY = {
    ("gateway", "orders"),
    ("orders", "POST /orders"),
    ("orders", "place order"),
    ("orders", "publish order.placed"),
    ("orders", "publish order.confirmed"),
    ("payments", "publish payment.authorized"),
    ("payments", "consume order.confirmed"),
    ("payments", "settle payment"),
    ("payments", "publish payment.captured"),
    ("catalog", "consume order.confirmed"),
    ("notifications", "consume order.confirmed"),
    ("notifications", "send mail"),
    ("notifications", "publish notification.sent"),
    ("audit", "consume order.placed"),
    ("audit", "consume order.confirmed"),
    ("audit", "consume payment.authorized"),
    ("audit", "consume payment.captured"),
    ("audit", "consume notification.sent"),
}
"""What every purchase leaves in its trace, alone or in company."""
ALONE = ON_THE_WAY | {
    ("orders", "do reserve stock"),
    ("orders", "POST /reservations"),
    ("catalog", "POST /reservations"),
    ("catalog", "reserve stock"),
    ("orders", "do authorize payment"),
    ("orders", "POST /payments"),
    ("payments", "POST /payments"),
    ("payments", "provider authorize"),
    ("orders", "do confirm order"),
    ("payments", "provider capture"),
}

Buy = Callable[..., Answer]


@pytest.fixture(scope="module")
def collector() -> Iterator[TraceCollector]:
    with running_collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    collector: TraceCollector, tmp_path_factory: pytest.TempPathFactory, reaper: Reaper
) -> Iterator[SystemUnderTest]:
    """A system that was started with the address of the collector in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        patch.setitem(os.environ, "OTEL_BSP_SCHEDULE_DELAY", "200")
        data: Path = tmp_path_factory.mktemp("traced") / "data"
        with running_system(data, reaper) as system:
            yield system


@pytest.fixture(scope="module")
def lamp(traced: SystemUnderTest) -> str:
    lamp = {"sku": "LAMP", "name": "Lamp", "price": {"amount": "49.99", "currency": "USD"}, "stock": 1000}
    return str(api.administrator(traced.opened()).post("/products", lamp).json["id"])


@pytest.fixture(scope="module")
def shopper(traced: SystemUnderTest) -> Api:
    gateway = api.gateway(traced.opened())
    email = f"ada-{secrets.token_hex(6)}@example.com"
    gateway.post("/users", {"email": email, "name": "Ada Lovelace", "password": PASSWORD})
    return gateway.signed_in(email, PASSWORD)


def trace_of(collector: TraceCollector, answer: Answer) -> list[SeenSpan]:
    """All spans of the trace that the request with this answer belongs to."""
    mine = [span for span in collector.spans() if span.attributes.get("correlation_id") == answer.correlation_id]
    return collector.trace(mine[0].trace) if mine else []


def stops(spans: list[SeenSpan]) -> set[tuple[str, str]]:
    return {(span.service, span.name) for span in spans}


def whole_trace_of(collector: TraceCollector, answer: Answer, expected: set[tuple[str, str]]) -> list[SeenSpan]:
    """The same once all of `expected` is there."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: stops(trace_of(collector, answer)) >= expected, "it is whole")
    spans = trace_of(collector, answer)
    assert expected - stops(spans) == set()
    return spans


def assert_without_a_gap(spans: list[SeenSpan]) -> None:
    ids = {span.id for span in spans}
    assert [(span.service, span.name) for span in spans if span.parent not in ids and span.service != "gateway"] == []
    assert [span.service for span in spans if not span.parent] == ["gateway"]


def test_one_purchase_is_one_trace_from_the_gateway_to_all_who_hear_of_it(
    collector: TraceCollector, shopper: Api, lamp: str, buy: Buy
) -> None:
    answer = buy(shopper, {lamp: 2})
    assert answer.status == 201, answer.json

    spans = whole_trace_of(collector, answer, ALONE)
    assert_without_a_gap(spans)
    assert not [span for span in spans if span.failed]
    by_id = {span.id: span for span in spans}
    consumed = [span for span in spans if span.kind == "consumer"]
    assert {by_id[span.parent].kind for span in consumed} == {"producer"}


def test_purchases_that_went_together_have_each_a_whole_trace_of_their_own(
    collector: TraceCollector, shopper: Api, lamp: str, buy: Buy
) -> None:
    with ThreadPoolExecutor(BUYERS) as threads:
        answers = list(threads.map(lambda _: buy(shopper, {lamp: 1}), range(BUYERS)))
    assert {answer.status for answer in answers} == {201}

    all_spans = ON_THE_WAY | {("catalog", "reserve stock")}
    traces = [whole_trace_of(collector, answer, all_spans) for answer in answers]
    assert len({spans[0].trace for spans in traces}) == BUYERS
    for spans in traces:
        assert_without_a_gap(spans)
        # The first order of a batch has the call in its trace; the others have a span of their own.
        assert stops(spans) & {("payments", "POST /payments"), ("payments", "authorize payment")}
    in_company = [span for spans in traces for span in spans if int(span.attributes.get("batch.size", 1)) > 1]
    assert any(span.links for span in in_company), "some lead to the trace in which the common work is seen"


def test_what_looks_for_work_or_asks_how_a_service_does_leaves_no_trace(collector: TraceCollector) -> None:
    first = [span for span in collector.spans() if not span.parent]
    assert {span.service for span in first if span.kind != "server"} == set()
    assert not {"GET /ready", "GET /metrics", "GET /health"} & {span.name for span in collector.spans()}


def test_a_trace_that_the_client_has_begun_goes_on(collector: TraceCollector, shopper: Api, lamp: str) -> None:
    trace = secrets.token_hex(16)
    body = {"items": [{"product_id": lamp, "quantity": 1}]}
    shopper.post("/orders", body, {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    wait_until(lambda: ("audit", "consume notification.sent") in stops(collector.trace(trace)), "it was traced")

    untraced = secrets.token_hex(16)
    answer = shopper.post("/orders", body, {"traceparent": f"00-{untraced}-00f067aa0ba902b7-00"})
    later = shopper.post("/orders", body)
    whole_trace_of(collector, later, ON_THE_WAY)
    assert answer.status in (201, 202)
    assert collector.trace(untraced) == []
