"""An operator sees orders that are stuck, and retries or cancels them; the record says who and why."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, refuse_work

WHY = {"reason": "the customer called"}
Rows = Callable[..., Awaitable[list[Any]]]


@pytest.fixture
async def buyer(start_orders: Any, make_buyer: Callable[..., Buyer]) -> Buyer:
    return make_buyer(await start_orders(wait_s=0.1))


@pytest.fixture
def operator(buyer: Buyer, make_buyer: Callable[..., Buyer]) -> Buyer:
    return make_buyer(buyer.base_url, roles=["customer", "admin"])


@pytest.fixture
async def stuck_order(buyer: Buyer, catalog: FakeCatalog, payments: FakePayments) -> str:
    """One that waits for payments, which are down."""
    payments.always["/payments"] = refuse_work
    status, order, _ = await buyer.buy((catalog.add(3), 1))
    assert (status, order["status"]) == (202, "pending")
    return str(order["id"])


async def acts_in(rows: Rows) -> list[dict[str, Any]]:
    return [json.loads(row["data"]) for row in await rows("SELECT data FROM journal WHERE type = 'operator.acted'")]


async def test_a_stuck_order_is_listed_with_its_trouble(stuck_order: str, operator: Buyer) -> None:
    async with asyncio.timeout(15):
        while True:
            _, listed, _ = await operator.call("GET", "/orders/stuck?older_than_s=0")
            (order,) = listed["items"]
            if order["attempts"]:
                break
            await asyncio.sleep(0.05)
    assert (order["id"], order["status"]) == (stuck_order, "pending")
    assert order["last_trouble"].startswith("do authorize payment")
    _, listed, _ = await operator.call("GET", "/orders/stuck?older_than_s=600")
    assert listed["items"] == []


async def test_the_age_of_an_order_that_is_stuck_is_told_in_the_metrics(
    stuck_order: str, buyer: Buyer, rows: Rows, until: Callable[..., Awaitable[None]]
) -> None:
    await rows("UPDATE orders SET created_at = created_at - interval '90 s'")

    async def is_told() -> bool:
        async with buyer.session.get(f"{buyer.base_url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        age_s = next(float(line.split()[1]) for line in lines if line.startswith("cartwright_orders_oldest_pending"))
        return age_s > 90 and "cartwright_orders_pending 1.0" in lines

    await until(is_told, "the age is in the metrics")


async def test_a_retried_order_does_not_wait_for_its_next_attempt(
    stuck_order: str, operator: Buyer, buyer: Buyer, payments: FakePayments, rows: Rows
) -> None:
    payments.always.clear()
    await rows("UPDATE orders SET next_attempt_at = now() + interval '1 h'")
    status, _, _ = await operator.call("POST", f"/orders/{stuck_order}/retry", WHY)
    assert status == 202
    await buyer.wait_for_status(stuck_order, "confirmed")
    assert await acts_in(rows) == [
        {"act": "retry order", "subject": stuck_order, "who": str(operator.id), "why": "the customer called"}
    ]


async def test_an_order_that_an_operator_cancels_gives_everything_back_and_says_so_once(
    stuck_order: str, operator: Buyer, buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, rows: Rows
) -> None:
    for _ in range(2):
        status, _, _ = await operator.call("POST", f"/orders/{stuck_order}/cancel-for-operator", WHY)
        assert status in {200, 202}
    order = await buyer.wait_for_status(stuck_order, "cancelled")
    assert order["reason"]["code"] == "cancelled_by_operator"
    assert "the customer called" not in str(order), "the reason is for the record"
    assert set(catalog.stock.values()) == {3}
    assert payments.live() == []
    assert [act["act"] for act in await acts_in(rows)] == ["cancel order"]


async def test_an_act_is_found_beside_the_purchase(stuck_order: str, operator: Buyer, rows: Rows) -> None:
    await operator.call("POST", f"/orders/{stuck_order}/retry", WHY)
    placed, acted = await rows("SELECT type, correlation_id FROM journal ORDER BY position")
    assert (placed["type"], acted["type"]) == ("order.placed", "operator.acted")
    assert placed["correlation_id"] == acted["correlation_id"]


async def test_what_has_ended_cannot_be_retried(buyer: Buyer, operator: Buyer, catalog: FakeCatalog) -> None:
    _, order, _ = await buyer.buy((catalog.add(3), 1))
    await buyer.wait_for_status(order["id"], "confirmed")
    status, problem, _ = await operator.call("POST", f"/orders/{order['id']}/retry", WHY)
    assert (status, problem["code"]) == (409, "order_ended")


@pytest.mark.parametrize("act", ["retry", "cancel-for-operator"])
async def test_an_order_that_never_was_cannot_be_mended(operator: Buyer, act: str) -> None:
    status, problem, _ = await operator.call("POST", f"/orders/{uuid4()}/{act}", WHY)
    assert (status, problem["code"]) == (404, "order_not_found")


@pytest.mark.parametrize("act", ["retry", "cancel-for-operator"])
async def test_a_customer_is_no_operator(stuck_order: str, buyer: Buyer, act: str, rows: Rows) -> None:
    assert (await buyer.call("GET", "/orders/stuck"))[0] == 403
    assert (await buyer.call("POST", f"/orders/{stuck_order}/{act}", WHY))[0] == 403
    assert await acts_in(rows) == []


async def test_the_cancellation_is_the_act_of_the_operator_who_asked_first_whatever_process_ends_it(
    stuck_order: str,
    operator: Buyer,
    buyer: Buyer,
    make_buyer: Callable[..., Buyer],
    payments: FakePayments,
    rows: Rows,
) -> None:
    payments.always["/payments/void"] = refuse_work
    await operator.call("POST", f"/orders/{stuck_order}/cancel-for-operator", WHY)
    second = make_buyer(buyer.base_url, roles=["customer", "admin"])
    await second.call("POST", f"/orders/{stuck_order}/cancel-for-operator", WHY)
    payments.always.clear()
    await rows("UPDATE orders SET next_attempt_at = now()")
    await buyer.wait_for_status(stuck_order, "cancelled")
    told = await rows("SELECT type, actor FROM journal WHERE type <> 'operator.acted' ORDER BY position")
    assert [tuple(row) for row in told] == [
        ("order.placed", f"user:{buyer.id}"),
        ("order.cancelled", f"operator:{operator.id}"),
    ]


async def test_what_the_checkout_decides_is_the_act_of_the_service(
    buyer: Buyer, catalog: FakeCatalog, rows: Rows
) -> None:
    status, answer, _ = await buyer.buy((catalog.add(1), 2))
    # The request waits only briefly here, so a slow machine answers 202.
    await buyer.wait_for_status(answer["order_id"] if status == 409 else answer["id"], "refused")
    _, order, _ = await buyer.buy((catalog.add(1), 1))
    await buyer.wait_for_status(order["id"], "confirmed")
    told = await rows("SELECT type, actor FROM journal ORDER BY position")
    assert [tuple(row) for row in told] == [
        ("order.placed", f"user:{buyer.id}"),
        ("order.cancelled", "service:orders"),
        ("order.placed", f"user:{buyer.id}"),
        ("order.confirmed", f"user:{buyer.id}"),
    ]
