"""Purchases over HTTP: what buyers are told, and that nothing is lost when peers fail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import (
    FakeCatalog,
    FakePayments,
    FakeUsers,
    answer_after,
    break_down,
    lose_answer,
    refuse_work,
)

from chassis.persistence.database import DatabaseUnavailable
from orders import store
from orders.domain.order import Order

ATTEMPTS_OF_ONE_CALL = 3


async def test_a_purchase_is_confirmed_with_names_prices_and_total(buyer: Buyer, catalog: FakeCatalog) -> None:
    keyboard, hub = catalog.add(5, "149.99"), catalog.add(5, "49.99")

    status, order, headers = await buyer.buy((keyboard, 1), (hub, 2))

    assert status == 201, order
    assert headers["Location"] == f"/api/orders/{order['id']}"
    assert set(order) == {"id", "user", "items", "total", "status", "created_at"}
    assert order["user"] == {"id": str(buyer.id), "name": "Ada", "email": "ada@example.com"}
    assert order["status"] == "confirmed"
    assert order["total"] == {"amount": "249.97", "currency": "USD"}
    assert order["items"][1] == {
        "product_id": str(hub),
        "name": f"Product {hub}",
        "quantity": 2,
        "unit_price": {"amount": "49.99", "currency": "USD"},
        "line_total": {"amount": "99.98", "currency": "USD"},
    }
    assert (await buyer.call("GET", f"/orders/{order['id']}"))[1] == order
    assert (catalog.stock[keyboard], catalog.stock[hub]) == (4, 3)


async def test_short_stock_is_told_with_what_is_left_and_nothing_is_taken(buyer: Buyer, catalog: FakeCatalog) -> None:
    plenty, scarce = catalog.add(10), catalog.add(1)

    status, problem, headers = await buyer.buy((plenty, 1), (scarce, 2))

    assert (status, problem["code"]) == (409, "out_of_stock")
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["shortages"] == [{"product_id": str(scarce), "requested": 2, "available": 1}]
    assert (catalog.stock[plenty], catalog.stock[scarce]) == (10, 1)


async def test_a_declined_card_gives_the_stock_back(buyer: Buyer, catalog: FakeCatalog, payments: FakePayments) -> None:
    product = catalog.add(3)

    status, problem, _ = await buyer.buy((product, 1), payment_method="pm_card_chargeDeclined")

    assert (status, problem["code"], problem["decline_code"]) == (402, "payment_declined", "card_declined")
    assert catalog.stock[product] == 3
    assert payments.live() == []


async def test_an_unknown_payment_method_gives_the_stock_back(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(3)

    status, problem, _ = await buyer.buy((product, 1), payment_method="pm_unheard_of")

    assert (status, problem["code"]) == (422, "unknown_payment_method")
    assert catalog.stock[product] == 3


async def test_a_price_that_moved_is_told_with_the_new_total(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(3, "12.00")

    status, problem, _ = await buyer.buy((product, 2), expected_total={"amount": "20.00", "currency": "USD"})

    assert (status, problem["code"]) == (409, "price_changed")
    assert problem["total"] == {"amount": "24.00", "currency": "USD"}
    assert catalog.stock[product] == 3


async def test_an_expected_total_in_another_currency_is_invalid(buyer: Buyer, catalog: FakeCatalog) -> None:
    status, problem, _ = await buyer.buy((catalog.add(3), 1), expected_total={"amount": "10.00", "currency": "EUR"})

    assert (status, problem["code"]) == (422, "another_currency")


async def test_a_product_that_never_was_is_invalid(buyer: Buyer, catalog: FakeCatalog) -> None:
    status, problem, _ = await buyer.buy((catalog.add(3), 1), (uuid4(), 1))

    assert (status, problem["code"]) == (422, "unknown_product")


@pytest.mark.parametrize("path", ["/reservations", "/payments"])
@pytest.mark.parametrize("fault", [lose_answer, refuse_work, break_down])
async def test_one_fault_of_a_step_does_not_keep_an_order_from_being_confirmed_once(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, path: str, fault: Any
) -> None:
    product = catalog.add(3)
    (catalog if path == "/reservations" else payments).plant(path, fault)

    status, order, _ = await buyer.buy((product, 1))

    assert (status, order["status"]) == (201, "confirmed")
    assert catalog.stock[product] == 2
    assert payments.authorizations == 1


@pytest.mark.parametrize("path", ["/reservations/release", "/payments/void"])
@pytest.mark.parametrize("fault", [lose_answer, refuse_work, break_down])
async def test_after_one_fault_of_an_undo_everything_is_released(
    start_orders: Any,
    make_buyer: Callable[..., Buyer],
    catalog: FakeCatalog,
    payments: FakePayments,
    path: str,
    fault: Any,
) -> None:
    buyer = make_buyer(await start_orders(deadline_s=0.2, wait_s=0.1))
    product = catalog.add(3)
    payments.plant("/payments", *[lose_answer] * ATTEMPTS_OF_ONE_CALL)  # The work is done, but its answer is lost.
    (catalog if "reserv" in path else payments).plant(path, fault)

    _, order, _ = await buyer.buy((product, 1))
    ended = await buyer.wait_for_status(order["id"], "cancelled")

    assert ended["reason"]["code"] == "deadline_passed"
    assert catalog.stock[product] == 3
    assert payments.live() == []


async def test_an_order_whose_money_was_taken_by_hand_can_be_cancelled_all_the_same(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments
) -> None:
    buyer = make_buyer(await start_orders(wait_s=0.1))
    product = catalog.add(3)
    payments.always["/payments"] = lose_answer  # The work is done, but its answer is lost.
    _, order, _ = await buyer.buy((product, 1))
    payments.captured.add(order["id"])

    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    await buyer.wait_for_status(order["id"], "cancelled")

    assert catalog.stock[product] == 3
    payments.hear("order.cancelled", order["id"])
    assert payments.refunded == {order["id"]}


async def test_an_accepted_order_that_cannot_be_read_is_not_told_as_one_that_was_not_placed(
    start_orders: Any,
    make_buyer: Callable[..., Buyer],
    catalog: FakeCatalog,
    payments: FakePayments,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a buyer without a key would buy again."""
    buyer = make_buyer(await start_orders(wait_s=0.1))
    payments.always["/payments"] = refuse_work

    async def unavailable(*_: Any) -> Order:
        raise DatabaseUnavailable

    monkeypatch.setattr(store.orders, "as_settled", unavailable)
    status, problem, _ = await buyer.buy((catalog.add(3), 1))
    assert (status, problem["code"]) == (504, "outcome_unknown")
    payments.always.clear()
    await buyer.wait_for_status(problem["order_id"], "confirmed")


async def test_payments_being_down_delays_an_order_and_does_not_refuse_it(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments
) -> None:
    buyer = make_buyer(await start_orders(wait_s=0.3))
    product = catalog.add(3)
    payments.always["/payments"] = refuse_work

    status, order, headers = await buyer.buy((product, 1))
    assert (status, order["status"]) == (202, "pending")
    assert headers["Location"] == f"/api/orders/{order['id']}"

    payments.always.clear()
    confirmed = await buyer.wait_for_status(order["id"], "confirmed")
    assert confirmed["total"] == {"amount": "10.00", "currency": "USD"}
    assert payments.authorizations == 1


async def test_a_purchase_that_ceases_to_wait_while_its_end_is_committed_is_answered_the_end(
    start_orders: Any,
    make_buyer: Callable[..., Buyer],
    catalog: FakeCatalog,
    database_url: str,
    rows: Any,
    until: Callable[..., Awaitable[None]],
) -> None:
    """Or it would be told to wait, and get no mail, since `told` is committed already."""
    buyer = make_buyer(await start_orders(wait_s=0.3))
    locker = await asyncpg.connect(database_url)

    async def hold_up_the_commit(_request: Any, work: Any) -> Any:
        await locker.execute("BEGIN; LOCK TABLE journal IN EXCLUSIVE MODE")
        return await work()

    catalog.plant("/reservations", hold_up_the_commit)
    buying = asyncio.create_task(buyer.buy((catalog.add(0), 1)))

    async def both_wait() -> bool:
        (waiting,) = await rows(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(waiting["count"] == 2 or buying.done())

    await until(both_wait, "the end and the answer wait")
    await locker.close()
    status, problem, _ = await buying

    assert (status, problem["code"]) == (409, "out_of_stock")
    (cancelled,) = await rows("SELECT data ->> 'told' AS told FROM journal WHERE type = 'order.cancelled'")
    assert cancelled["told"] == "true"


async def test_another_replica_takes_up_what_a_dead_one_has_left(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    first = await start_orders(wait_s=0.1, lease_s=0.5, sweep_s=3_600.0)  # It never looks after its own.
    never = asyncio.Event()
    payments.plant("/payments", answer_after(never))
    buyer = make_buyer(first)
    _, order, _ = await buyer.buy((catalog.add(3), 1))

    buyer.base_url = await start_orders(lease_s=0.5, sweep_s=0.05)

    assert (await buyer.wait_for_status(order["id"], "confirmed"))["status"] == "confirmed"
    never.set()
    (counted,) = await rows("SELECT count(*) FROM journal WHERE type = 'order.confirmed'")
    assert counted["count"] == 1
    assert payments.authorizations == 1


async def test_respond_async_answers_at_once_and_the_order_is_confirmed_later(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    body = {"items": [{"product_id": str(catalog.add(3)), "quantity": 1}]}

    status, order, headers = await buyer.call("POST", "/orders", body, headers={"prefer": "respond-async"})

    assert (status, order["status"], order["total"]) == (202, "pending", None)
    assert headers["Location"].endswith(order["id"])
    await buyer.wait_for_status(order["id"], "confirmed")


async def test_users_being_down_refuses_before_anything_is_accepted(
    buyer: Buyer, catalog: FakeCatalog, users: FakeUsers, rows: Any
) -> None:
    users.always["/users/lookup"] = refuse_work

    status, problem, headers = await buyer.buy((catalog.add(3), 1))

    assert (status, problem["code"]) == (503, "unavailable")
    assert headers["Retry-After"]
    assert await rows("SELECT id FROM orders") == []


async def test_a_deleted_account_cannot_buy(buyer: Buyer, catalog: FakeCatalog, users: FakeUsers) -> None:
    users.people.clear()

    status, problem, _ = await buyer.buy((catalog.add(3), 1))

    assert (status, problem["code"]) == (401, "account_deleted")


async def test_orders_that_come_together_share_calls_and_each_gets_its_own_answer(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments
) -> None:
    base_url = await start_orders()
    product = catalog.add(7)
    buyers = [make_buyer(base_url) for _ in range(20)]

    answers = await asyncio.gather(*(buyer.buy((product, 1)) for buyer in buyers))

    assert sorted(status for status, _, _ in answers) == [201] * 7 + [409] * 13
    assert catalog.stock[product] == 0
    assert len(payments.live()) == 7
    assert sum(path == "/reservations" for path, _ in catalog.calls) < 20
