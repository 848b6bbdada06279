"""An order and its timeline show what was refunded, in whatever order and how often payments reports it."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from orders.workers import consumer

Hear = Callable[..., Awaitable[None]]
OPERATOR = uuid4()


@pytest.fixture
def hear(database: Database) -> Hear:
    async def hear(*events: Envelope) -> None:
        await database.run(lambda connection: consumer.handle_events(connection, events))

    return hear


@pytest.fixture
def said(make_event: Callable[..., Envelope]) -> Callable[..., Envelope]:
    """An event of payments about an order, so many seconds from now."""

    def make(type_: str, order_id: str, amount: str, seconds: float, **members: Any) -> Envelope:
        data = {
            "payment_id": str(uuid4()),
            "order_id": order_id,
            "user_id": str(uuid4()),
            "amount": {"amount": amount, "currency": "USD"},
        }
        data |= {"refund_id": str(uuid4()), "reason": "a scratch"} if type_ == "payment.refunded" else {"code": None}
        time = datetime.now(UTC) + timedelta(seconds=seconds)
        return make_event(type_, data, source="/payments", time=time, **members)

    return make


@pytest.mark.parametrize("seed", range(5))
async def test_an_order_shows_the_sum_of_its_refunds(
    buyer: Buyer, catalog: FakeCatalog, hear: Hear, said: Callable[..., Envelope], seed: int
) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 2))
    id_ = order["id"]
    events = [
        said("payment.refunded", id_, "4.00", 2, actor=f"operator:{OPERATOR}"),
        said("payment.refunded", id_, "0.50", 3),
        said("payment.refunded", id_, "1.00", 4),
    ]
    told = [*events, events[0], events[2]]
    random.Random(seed).shuffle(told)
    for event in told:
        await hear(event)

    _, shown, _ = await buyer.call("GET", f"/orders/{id_}")
    _, page, _ = await buyer.call("GET", "/orders")
    _, timeline, _ = await buyer.call("GET", f"/orders/{id_}/timeline")

    refunded = {"refunded": {"amount": "5.50", "currency": "USD"}}
    assert shown == order | refunded
    assert page["items"] == [order | refunded]
    assert [(entry["event"], entry["data"].get("amount", {}).get("amount")) for entry in timeline["items"]] == [
        ("order.placed", None),
        ("order.confirmed", None),
        ("payment.refunded", "4.00"),
        ("payment.refunded", "0.50"),
        ("payment.refunded", "1.00"),
    ]
    assert timeline["items"][2]["actor"] == "operator"


async def test_an_order_that_was_not_charged_shows_that_its_payment_was_voided(
    buyer: Buyer, catalog: FakeCatalog, hear: Hear, said: Callable[..., Envelope]
) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))
    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    await hear(said("payment.voided", order["id"], "10.00", 1))

    _, shown, _ = await buyer.call("GET", f"/orders/{order['id']}")
    _, timeline, _ = await buyer.call("GET", f"/orders/{order['id']}/timeline")

    assert "refunded" not in shown
    assert timeline["items"][-1]["event"] == "payment.voided"


async def test_an_event_about_an_order_that_is_not_here_does_no_harm(
    buyer: Buyer, hear: Hear, said: Callable[..., Envelope]
) -> None:
    """It may come before a restored database knows of the order."""
    await hear(said("payment.refunded", str(uuid4()), "1.00", 0))
    assert (await buyer.call("GET", "/orders"))[1]["items"] == []


async def test_the_stored_answer_of_a_purchase_stays_as_it_was(
    buyer: Buyer, catalog: FakeCatalog, hear: Hear, said: Callable[..., Envelope]
) -> None:
    product = catalog.add(5)
    first = await buyer.buy((product, 1), key="k")
    await hear(said("payment.refunded", first[1]["id"], "10.00", 0))
    assert (await buyer.buy((product, 1), key="k"))[:2] == first[:2]
