"""A forged event has no effect in the running system, by whichever login it comes, and is seen."""

import asyncio
import random
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import nats
import pytest
from uuid_utils.compat import uuid7

from cartwright.chaos.forgery import Forgeries
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.layout import SERVICES_WITH_DATABASE, STREAM
from cartwright.testkit.system import SystemUnderTest
from cartwright.verifier.findings import Findings
from cartwright.verifier.snapshots import open_snapshots
from chassis.messaging.broker import SIGNATURE_HEADER
from chassis.messaging.envelope import Envelope, encode_batch
from chassis.messaging.signed_broker import Signer

SEEN_S_MAX = 30
GROUPS = ("catalog", "payments", "notifications", "audit")


@pytest.fixture(scope="module")
def order(customer: Api, new_product: Callable[..., str], buy: Callable[..., Answer]) -> dict[str, Any]:
    """One that is confirmed, and whose payment is captured."""
    answer = buy(customer, {new_product(stock=5): 1})
    assert answer.status == 201, answer.json
    deadline = time.monotonic() + SEEN_S_MAX
    while payment_of(customer, answer.json["id"])["status"] != "captured":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer.json


def payment_of(customer: Api, order_id: str) -> dict[str, Any]:
    (payment,) = customer.get(f"/payments?order_id={order_id}").json["items"]
    return dict(payment)


def a_cancellation(order: dict[str, Any]) -> Envelope:
    data = {
        "order_id": order["id"],
        "user_id": order["user"]["id"],
        "name": "Ada Lovelace",
        "email": order["user"]["email"],
        "status": "cancelled",
        "was_confirmed": True,
        "told": False,
        "reason": {"code": "cancelled_by_customer", "detail": "Cancelled by the customer."},
        "total": order["total"],
    }
    return Envelope(
        id=uuid7(),
        source="/orders",
        type="order.cancelled",
        subject=order["id"],
        time=datetime.now(UTC),
        sequence="1",
        correlationid=str(uuid4()),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def refused_by(system: SystemUnderTest, service: str) -> float:
    url = f"{system.opened().service_url(service)}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("cartwright_messages_refused_total{"))


async def publish(url: str, event: Envelope, signature: str | None, *, is_allowed: bool) -> None:
    async def ignore(_: Exception) -> None:
        """The server's refusal shows in the missing confirmation."""

    login = url.partition("://")[2].partition(":")[0]
    connection = await nats.connect(
        url.removesuffix(f"/{STREAM}"), inbox_prefix=f"_INBOX.{login}", error_cb=ignore, allow_reconnect=False
    )
    headers = {} if signature is None else {SIGNATURE_HEADER: signature}
    try:
        publishing = connection.jetstream(timeout=2).publish(
            f"{STREAM}.{event.type}", encode_batch([event]), headers=headers
        )
        if is_allowed:
            await publishing
        else:
            with pytest.raises((nats.errors.Error, nats.js.errors.Error)):
                await publishing
    finally:
        await connection.close()


@pytest.mark.parametrize("signed_as", [None, "catalog"])
def test_a_forged_cancellation_by_the_operators_login_refunds_nothing_and_is_seen_by_each_group(
    signed_as: str | None, system: SystemUnderTest, customer: Api, order: dict[str, Any]
) -> None:
    opened, event = system.opened(), a_cancellation(order)
    before = {group: refused_by(system, group) for group in GROUPS}
    signature = None
    if signed_as is not None:
        signature = Signer(signed_as, opened.credentials.service_keys[signed_as]).sign(encode_batch([event]))
    asyncio.run(publish(opened.operator_events_url, event, signature, is_allowed=True))
    deadline = time.monotonic() + SEEN_S_MAX
    while any(refused_by(system, group) == before[group] for group in GROUPS):
        assert time.monotonic() < deadline, "a group has not refused it"
        time.sleep(0.1)
    assert payment_of(customer, order["id"])["status"] == "captured"
    assert customer.get(f"/orders/{order['id']}").json["status"] == "confirmed"
    assert "messages were refused" in system.run("logs").stdout


def test_the_login_of_another_service_cannot_publish_it_at_all(
    system: SystemUnderTest, customer: Api, order: dict[str, Any]
) -> None:
    opened, event = system.opened(), a_cancellation(order)
    signature = Signer("catalog", opened.credentials.service_keys["catalog"]).sign(encode_batch([event]))
    asyncio.run(publish(opened.events_url("catalog"), event, signature, is_allowed=False))
    assert payment_of(customer, order["id"])["status"] == "captured"


def test_forged_events_of_every_service_have_no_effect_and_each_group_counts_them(
    system: SystemUnderTest, order: dict[str, Any]
) -> None:
    forgeries = Forgeries(system.opened(), seed=1)
    asyncio.run(forgeries.publish_and_count())
    findings = asyncio.run(effects_of(system, forgeries))
    assert findings.violations == {}
    assert findings.checked["forged events"] > 0


def test_a_forged_event_that_a_consumer_has_accepted_is_found(system: SystemUnderTest, order: dict[str, Any]) -> None:
    """The effect is planted: payments has the event in its inbox."""
    forgeries = Forgeries(system.opened(), seed=2)
    asyncio.run(forgeries.publish("orders", random.Random(2)))
    forged = next(each for each in forgeries.published if each.event_id is not None)
    asyncio.run(execute(system, "payments", "INSERT INTO inbox (event_id) VALUES ($1)", forged.event_id))
    findings = asyncio.run(effects_of(system, forgeries))
    asyncio.run(execute(system, "payments", "DELETE FROM inbox WHERE event_id = $1", forged.event_id))
    assert set(findings.violations) == {("a forged event had an effect", str(forged.event_id))}


async def effects_of(system: SystemUnderTest, forgeries: Forgeries) -> Findings:
    opened = system.opened()
    async with open_snapshots({name: opened.reader_url(name) for name in SERVICES_WITH_DATABASE}) as snapshots:
        return await forgeries.check(snapshots)


async def execute(system: SystemUnderTest, service: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(system.opened().owner_url(service))
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


def test_every_promise_holds_after_all_that(system: SystemUnderTest) -> None:
    assert "All promises hold." in system.run("verify").stdout
