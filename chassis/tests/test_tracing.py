"""Spans as a collector gets them: who is whose child, what shares a batch, and what leaves no span at all."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from cartwright.testkit.trace_collector import SeenSpan, running_collector
from chassis import context
from chassis.batching import Batcher
from chassis.telemetry import tracing

OURS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THEIRS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNTRACED = "00-11111111111111111111111111111111-2222222222222222-00"

Exported = Callable[[], list[SeenSpan]]


@pytest.fixture
def exported() -> Iterator[Exported]:
    """Traces are on; a call ends them, and answers what was exported."""
    with running_collector() as collector:
        end = tracing.configure("orders", collector.endpoint, 1.0, "here")

        def ended() -> list[SeenSpan]:
            end()
            return collector.spans()

        yield ended
        end()


def test_a_span_is_the_child_of_the_current_work_and_the_parent_of_what_is_within(exported: Exported) -> None:
    with context.working_on("purchase", OURS):
        with tracing.span("outer", "client", {"peer.service": "catalog"}), tracing.span("inner"):
            pass
        assert context.traceparent() == OURS
    inner, outer = exported()
    assert (outer.trace, outer.parent, outer.kind) == (OURS[3:35], OURS[36:52], "client")
    assert (outer.service, outer.attributes) == ("orders", {"peer.service": "catalog"})
    assert (inner.name, inner.trace, inner.parent) == ("inner", OURS[3:35], outer.id)


def test_a_request_without_a_trace_begins_one(exported: Exported) -> None:
    with context.working_on("purchase"), tracing.request("GET", "purchase") as tell:
        begun = context.traceparent() or ""
        tell("/products/{id}", 200)
    (span,) = exported()
    assert (span.name, span.kind, span.parent, span.failed) == ("GET /products/{id}", "server", "", False)
    assert (span.trace, span.id) == (begun[3:35], begun[36:52])
    assert span.attributes["correlation_id"] == "purchase"
    assert span.attributes["http.response.status_code"] == 200


def test_only_an_answer_of_5xx_and_an_error_are_failures(exported: Exported) -> None:
    for status in (404, 503):
        with context.working_on("purchase"), tracing.request("GET", "purchase") as tell:
            tell(None, status)
    with pytest.raises(ValueError, match="no"), context.working_on("purchase", OURS), tracing.span("work"):
        raise ValueError("no")
    assert [(span.name, span.failed) for span in exported()] == [("GET", False), ("GET", True), ("work", True)]


def test_untraced_work_leaves_no_span_and_hands_on_its_context(exported: Exported) -> None:
    for given in (None, UNTRACED):
        with context.working_on("sweep", given), tracing.span("read"):
            assert context.traceparent() == given
        with tracing.together("producer", [("publish", given)]) as traces:
            assert traces == [given]
    with context.working_on("purchase", UNTRACED), tracing.request("GET", "purchase"):
        assert (context.traceparent() or "").startswith(UNTRACED[:36])
    assert exported() == []


def test_what_goes_together_is_in_each_trace_and_leads_to_the_one_that_shows_more(exported: Exported) -> None:
    pieces = [("publish", UNTRACED), ("publish", OURS), ("publish", THEIRS), ("publish", OURS), ("publish", None)]
    with tracing.together("producer", pieces) as traces, tracing.span("send"):
        pass
    send, ours, theirs = sorted(exported(), key=lambda span: (span.name != "send", span.trace != OURS[3:35]))
    assert (ours.parent, ours.links, ours.attributes["batch.size"]) == (OURS[36:52], (), 5)
    assert (theirs.trace, theirs.parent, theirs.links) == (THEIRS[3:35], THEIRS[36:52], (ours.id,))
    assert (send.trace, send.parent) == (OURS[3:35], ours.id)
    assert [trace and trace[36:52] for trace in traces] == [UNTRACED[36:52], ours.id, theirs.id, ours.id, None]


def test_events_of_one_trace_that_come_together_have_each_a_span(exported: Exported) -> None:
    second = OURS[:36] + "aaaaaaaaaaaaaaaa" + OURS[52:]
    with (
        context.working_on("first", OURS),
        tracing.together("consumer", [("consume a", OURS), ("consume b", second)]),
    ):
        pass
    assert [(span.name, span.parent) for span in exported()] == [
        ("consume a", OURS[36:52]),
        ("consume b", "aaaaaaaaaaaaaaaa"),
    ]


def test_the_trace_in_which_a_call_came_gets_no_second_span_for_what_it_brought(exported: Exported) -> None:
    further_on = OURS[:36] + "aaaaaaaaaaaaaaaa" + OURS[52:]
    wishes = [("reserve stock", OURS), ("reserve stock", THEIRS)]
    with context.working_on("call", further_on), tracing.together("server", wishes):
        assert context.traceparent() == further_on
    (span,) = exported()
    assert (span.trace, span.links) == (THEIRS[3:35], ("aaaaaaaaaaaaaaaa",))


async def test_a_batch_is_in_the_trace_of_each_who_waits_for_it(exported: Exported) -> None:
    async def work(items: Sequence[str]) -> Sequence[str]:
        await asyncio.sleep(0)
        return items

    batcher = Batcher("place order", work)

    async def submit(item: str, trace: str) -> None:
        with context.working_on(item, trace):
            await batcher.submit(item)

    await asyncio.gather(submit("mine", OURS), submit("yours", THEIRS), submit("untraced", UNTRACED))
    assert [(span.name, span.trace) for span in exported()] == [
        ("place order", OURS[3:35]),
        ("place order", THEIRS[3:35]),
    ]


@pytest.mark.parametrize("listens", [False, True], ids=["away", "frozen"])
def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(listens: bool) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listens:
            place.listen()
        end = tracing.configure("orders", f"http://127.0.0.1:{place.getsockname()[1]}", 1.0, "here")
        with context.working_on("purchase", OURS), tracing.span("work"):
            pass
        started_at = time.monotonic()
        end()
        assert time.monotonic() - started_at < 3


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_share_decides_only_where_the_sender_has_not(ratio: float) -> None:
    with running_collector() as collector:
        end = tracing.configure("orders", collector.endpoint, ratio, "here")
        for given in (None, OURS, UNTRACED):
            with context.working_on("purchase", given), tracing.request("GET", "purchase"):
                pass
        end()
        assert len(collector.spans()) == (2 if ratio else 1)
