"""What belongs to a piece of work stays with it: ids of an acceptable form, and a deadline."""

import asyncio

import pytest

from chassis import context

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_enclosed_work_has_what_it_was_given_and_the_rest_has_not() -> None:
    with context.working_on("outer", TRACE, seconds=5):
        with context.working_on("inner"):
            assert (context.correlation_id(), context.traceparent(), context.seconds_left()) == ("inner", None, None)
        assert (context.correlation_id(), context.traceparent()) == ("outer", TRACE)
        assert 4 < (context.seconds_left() or 0) <= 5


async def test_a_task_inherits_what_its_maker_works_on() -> None:
    async def look() -> str:
        return context.correlation_id()

    with context.working_on("purchase"):
        task = asyncio.create_task(look())
    assert await task == "purchase"


@pytest.mark.parametrize("given", [None, "", "a b", "a\nb", "x" * 129, '{"a":1}', "ä"])
def test_an_id_of_an_unacceptable_form_is_replaced(given: str | None) -> None:
    with context.working_on(given):
        assert context.correlation_id() != given
        assert context.acceptable_id(context.correlation_id()) == context.correlation_id()


@pytest.mark.parametrize("given", [None, "", "00-xyz-1-01", TRACE + "\n", TRACE.upper()])
def test_a_malformed_trace_is_not_handed_on(given: str | None) -> None:
    with context.working_on("id", given):
        assert context.traceparent() is None


def test_a_deadline_that_has_passed_leaves_nothing() -> None:
    with context.working_on("id", seconds=-1):
        assert context.seconds_left() == 0


def test_work_without_a_request_has_one_id_of_its_own() -> None:
    with context.working_on(None):
        assert context.correlation_id() == context.correlation_id()
