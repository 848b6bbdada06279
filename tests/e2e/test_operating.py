"""An operator sees what went wrong and mends it by the command line; audit has each act, and every promise holds."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from cartwright.launcher.api import Answer, Api
from cartwright.testkit.system import SystemUnderTest

RECORDED_S_MAX = 30


@pytest.fixture(scope="module")
def order(customer: Api, new_product: Callable[..., str], buy: Callable[..., Answer]) -> str:
    answer = buy(customer, {new_product(stock=5): 1})
    assert answer.status == 201, answer.json
    return str(answer.json["id"])


def events_of(administrator: Api, query: str, count: int) -> list[dict[str, Any]]:
    """What audit has, once it is so much."""
    deadline = time.monotonic() + RECORDED_S_MAX
    while len(items := administrator.get(f"/audit/events?limit=100&{query}").json["items"]) < count:
        assert time.monotonic() < deadline, items
        time.sleep(0.1)
    return list(items)


def test_an_operator_cancels_an_order_and_audit_knows_who_and_why(
    system: SystemUnderTest, administrator: Api, customer: Api, order: str
) -> None:
    assert "No order" in system.run("orders", "stuck").stdout
    assert "is cancelled" in system.run("orders", "cancel", order, "--why", "sold by mistake").stdout
    assert customer.get(f"/orders/{order}").json["reason"]["code"] == "cancelled_by_operator"
    (placed, *_) = events_of(administrator, f"order_id={order}", 1)
    events = events_of(administrator, f"type=operator.acted&correlation_id={placed['correlation_id']}", 1)
    me = administrator.get("/users/me").json["id"]
    assert [event["data"] for event in events] == [
        {"act": "cancel order", "subject": order, "who": me, "why": "sold by mistake"}
    ]


def test_what_has_ended_is_not_retried(system: SystemUnderTest, order: str) -> None:
    refused = system.attempt("orders", "retry", order, "--why", "to see")
    assert refused.returncode == 1
    assert "It was not done: 409" in refused.stderr


def test_a_dead_letter_is_listed_with_its_reason_and_redriven_without_a_second_effect(
    system: SystemUnderTest, administrator: Api, order: str
) -> None:
    event = events_of(administrator, f"order_id={order}&type=order.confirmed", 1)[0]["id"]
    asyncio.run(_add_dead_letter(system, event))
    assert "planted" in system.run("dead-letters", "list").stdout
    system.run("dead-letters", "redrive", "notifications", event, "--why", "mended")
    assert "There are no dead letters" in system.run("dead-letters", "list").stdout


async def _add_dead_letter(system: SystemUnderTest, event_id: str) -> None:
    """As the consumer of notifications does with an event that fails for good."""
    opened = system.opened()
    audit = await asyncpg.connect(opened.database_url("audit"))
    envelope = await audit.fetchval("SELECT envelope FROM entries WHERE event_id = $1", event_id)
    await audit.close()
    notifications = await asyncpg.connect(opened.database_url("notifications"))
    await notifications.execute(
        """
        INSERT INTO dead_letters (event_id, type, subject, reason, attempts, envelope)
        VALUES ($1, 'order.confirmed', 'x', 'planted', 5, $2)
        """,
        event_id,
        envelope,
    )
    await notifications.close()


def test_what_was_said_is_said_again_and_every_promise_still_holds(system: SystemUnderTest, order: str) -> None:
    since = (datetime.now() - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S")  # noqa: DTZ005 - this machine's.
    said = system.run("events", "replay", "--since", since, "--why", "the broker lost its store").stdout
    assert int(said.split()[0]) >= 4
    verified = system.attempt("verify", "--wait", "60")
    assert verified.returncode == 0, verified.stdout
