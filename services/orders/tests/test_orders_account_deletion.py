"""Each state that an order can be in when its account is deleted has a defined end; and nothing slips through."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, FakeUsers, answer_after, refuse_work

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Database
from orders import store
from orders.consumed_events import UserDeleted
from orders.workers import consumer

DeleteAccount = Callable[[Buyer], Awaitable[None]]


@pytest.fixture
def delete_account(database: Database, users: FakeUsers, make_event: Callable[..., Envelope]) -> DeleteAccount:
    """What users and its event do."""

    async def delete(buyer: Buyer) -> None:
        del users.people[buyer.id]
        event = make_event("user.deleted", UserDeleted(buyer.id, 2), source="/users")
        await database.run(lambda connection: consumer.remember_users(connection, [event]))

    return delete


async def bring_to(
    status: str, buyer: Buyer, administrator: Buyer, catalog: FakeCatalog, payments: FakePayments
) -> str:
    """The id of an order that is in `status`."""
    if status in {"pending", "cancelling"}:
        payments.always["/payments"] = refuse_work
    quantity = 1 if status != "refused" else 100
    answered, order, _ = await buyer.buy((catalog.add(10), quantity))
    order_id = str(order["order_id"] if answered == 409 else order["id"])
    if status == "cancelling":
        catalog.always["/reservations/release"] = refuse_work
    if status in {"cancelling", "cancelled"}:
        await buyer.call("POST", f"/orders/{order_id}/cancel")
    if status == "shipped":
        await administrator.call("POST", f"/orders/{order_id}/ship")
    await buyer.wait_for_status(order_id, status)
    return order_id


ENDS = {
    "pending": ("cancelled", "account_deleted"),
    "cancelling": ("cancelled", "cancelled_by_customer"),
    "confirmed": ("confirmed", None),
    "shipped": ("shipped", None),
    "cancelled": ("cancelled", "cancelled_by_customer"),
    "refused": ("refused", "out_of_stock"),
}


@pytest.mark.parametrize("status", ENDS)
async def test_an_order_whose_account_is_deleted_ends_as_its_state_says(
    start_orders: Any,
    make_buyer: Callable[..., Buyer],
    catalog: FakeCatalog,
    payments: FakePayments,
    delete_account: DeleteAccount,
    rows: Any,
    status: str,
) -> None:
    buyer = make_buyer(await start_orders(wait_s=0.2))
    administrator = make_buyer(buyer.base_url, ["customer", "admin"])
    order_id = await bring_to(status, buyer, administrator, catalog, payments)
    expected, reason = ENDS[status]

    await delete_account(buyer)

    # The peers come back only now, so that nothing but the deletion can have decided.
    payments.always.clear()
    catalog.always.clear()
    order = await administrator.wait_for_status(order_id, expected)
    assert order.get("reason", {}).get("code") == reason
    if expected in {"cancelled", "refused"} and status not in {"cancelled"}:
        assert set(catalog.stock.values()) == {10}
        assert payments.live() == []
        (told,) = await rows("SELECT count(*) FROM journal WHERE type = 'order.cancelled'")
        assert told["count"] == 1


async def test_an_order_that_is_placed_while_its_account_is_deleted_is_cancelled_at_its_confirmation(
    buyer: Buyer, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, database: Database
) -> None:
    """The deletion did not see it: it was committed just after. Its confirmation sees the deletion."""
    product, go_on = catalog.add(3), asyncio.Event()
    payments.plant("/payments", answer_after(go_on))
    buying = asyncio.create_task(buyer.buy((product, 1)))
    async with asyncio.timeout(10):
        while not payments.calls:
            await asyncio.sleep(0.01)

    gone = [UserDeleted(buyer.id, 2)]
    await database.run(lambda connection: store.customers.forget(connection, gone))
    go_on.set()

    status, problem, _ = await buying
    assert (status, problem["code"]) == (401, "account_deleted")
    administrator = make_buyer(buyer.base_url, ["customer", "admin"])
    assert (await administrator.wait_for_status(problem["order_id"], "cancelled"))["reason"][
        "code"
    ] == "account_deleted"
    assert catalog.stock[product] == 3
    assert payments.live() == []


async def test_the_cart_of_a_deleted_account_is_erased_and_stays_empty(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, delete_account: DeleteAccount, rows: Any
) -> None:
    taken, left = catalog.add(3), catalog.add(3)
    payments.always["/payments"] = refuse_work
    await buyer.call("PUT", f"/cart/items/{taken}", {"quantity": 1})
    _, order, _ = await buyer.call("POST", "/orders", {"from_cart": True}, headers={"prefer": "respond-async"})
    await buyer.call("PUT", f"/cart/items/{left}", {"quantity": 1})

    await delete_account(buyer)
    status, problem, _ = await buyer.call("PUT", f"/cart/items/{left}", {"quantity": 1})

    assert (status, problem["code"]) == (401, "account_deleted")
    await buyer.wait_for_status(order["id"], "cancelled")
    assert await rows("SELECT FROM cart_items") == []


async def test_puts_while_the_account_is_deleted_leave_nothing_in_the_cart(
    buyer: Buyer, catalog: FakeCatalog, delete_account: DeleteAccount, rows: Any
) -> None:
    async def put(product: UUID) -> None:
        await buyer.call("PUT", f"/cart/items/{product}", {"quantity": 1})

    puts = [asyncio.create_task(put(catalog.add(3))) for _ in range(20)]
    await asyncio.sleep(0.02)
    await delete_account(buyer)
    await asyncio.gather(*puts)
    assert await rows("SELECT FROM cart_items") == []
