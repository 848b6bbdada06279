"""Keys, cancellation, history, timeline, cart: what a buyer can do besides buying."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, answer_after, refuse_work


async def test_the_same_key_and_body_give_the_stored_answer(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments
) -> None:
    product = catalog.add(5)

    first = await buyer.buy((product, 1), key="k1")
    second = await buyer.buy((product, 1), key="k1")

    assert first[0] == second[0] == 201
    assert first[1] == second[1]
    assert catalog.stock[product] == 4
    assert payments.authorizations == 1


async def test_a_repeated_key_answers_as_confirmed_even_after_a_cancellation(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    product = catalog.add(5)
    _, order, _ = await buyer.buy((product, 1), key="k1")
    await buyer.call("POST", f"/orders/{order['id']}/cancel")

    assert (await buyer.buy((product, 1), key="k1"))[:2] == (201, order)


async def test_a_repeated_key_repeats_the_refusal(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(1)
    status, first, _ = await buyer.buy((product, 2), key="k1")
    catalog.stock[product] = 10

    again, second, _ = await buyer.buy((product, 2), key="k1")

    assert (status, again) == (409, 409)
    assert first["shortages"] == second["shortages"]
    assert first["order_id"] == second["order_id"]


async def test_a_key_with_another_body_is_refused(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(5)
    await buyer.buy((product, 1), key="k1")

    status, problem, _ = await buyer.buy((product, 2), key="k1")

    assert (status, problem["code"]) == (422, "key_used_again")


async def test_a_key_in_progress_is_told_so(buyer: Buyer, catalog: FakeCatalog, payments: FakePayments) -> None:
    product, go_on = catalog.add(5), asyncio.Event()
    payments.plant("/payments", answer_after(go_on))
    first = asyncio.create_task(buyer.buy((product, 1), key="k1"))
    async with asyncio.timeout(5):
        while not payments.calls:
            await asyncio.sleep(0.01)

    status, problem, headers = await buyer.buy((product, 1), key="k1")
    go_on.set()

    assert (status, problem["code"]) == (409, "key_in_progress")
    assert headers["Retry-After"]
    assert (await first)[0] == 201


async def test_two_users_may_use_the_same_key(start_orders: Any, make_buyer: Any, catalog: FakeCatalog) -> None:
    base_url, product = await start_orders(), catalog.add(5)

    answers = [await make_buyer(base_url).buy((product, 1), key="k1") for _ in range(2)]

    assert [status for status, _, _ in answers] == [201, 201]
    assert answers[0][1]["id"] != answers[1][1]["id"]


async def test_fifty_requests_with_one_key_make_one_order(buyer: Buyer, catalog: FakeCatalog, rows: Any) -> None:
    product = catalog.add(100)

    answers = await asyncio.gather(*(buyer.buy((product, 1), key="k1") for _ in range(50)))

    assert {status for status, _, _ in answers} <= {201, 409}
    assert len(await rows("SELECT id FROM orders")) == 1
    assert catalog.stock[product] == 99


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
async def test_an_empty_or_over_long_key_is_malformed(buyer: Buyer, catalog: FakeCatalog, key: str) -> None:
    status, problem, _ = await buyer.buy((catalog.add(5), 1), key=key)

    assert (status, problem["code"]) == (400, "malformed")


async def test_cancelling_a_confirmed_order_twice_answers_the_same(buyer: Buyer, catalog: FakeCatalog) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))

    first = await buyer.call("POST", f"/orders/{order['id']}/cancel")
    second = await buyer.call("POST", f"/orders/{order['id']}/cancel")

    assert (first[0], first[1]["status"], first[1]["reason"]["code"]) == (200, "cancelled", "cancelled_by_customer")
    assert first[:2] == second[:2]


async def test_cancelling_a_pending_order_gives_everything_back_and_it_is_never_confirmed(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> None:
    buyer, product = make_buyer(await start_orders(wait_s=0.2)), catalog.add(5)
    payments.always["/payments"] = refuse_work
    _, order, _ = await buyer.buy((product, 1))
    assert catalog.held(product) == 1

    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    payments.always.clear()

    assert (await buyer.wait_for_status(order["id"], "cancelled"))["reason"]["code"] == "cancelled_by_customer"
    assert catalog.stock[product] == 5
    assert payments.live() == []
    assert await rows("SELECT 1 FROM journal WHERE type = 'order.confirmed'") == []
    assert len(await rows("SELECT 1 FROM journal WHERE type = 'order.cancelled'")) == 1


async def test_a_shipped_order_cannot_be_cancelled(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog
) -> None:
    base_url = await start_orders()
    buyer, administrator = make_buyer(base_url), make_buyer(base_url, ["customer", "admin"])
    _, order, _ = await buyer.buy((catalog.add(5), 1))

    assert (await buyer.call("POST", f"/orders/{order['id']}/ship"))[0] == 403
    assert (await administrator.call("POST", f"/orders/{order['id']}/ship"))[1]["status"] == "shipped"
    assert (await administrator.call("POST", f"/orders/{order['id']}/ship"))[0] == 200
    status, problem, _ = await buyer.call("POST", f"/orders/{order['id']}/cancel")
    assert (status, problem["code"]) == (409, "order_shipped")


async def test_another_users_order_looks_like_one_that_never_was(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog
) -> None:
    base_url = await start_orders()
    owner, stranger = make_buyer(base_url), make_buyer(base_url)
    _, order, _ = await owner.buy((catalog.add(5), 1))

    for method, path in [("GET", ""), ("GET", "/timeline"), ("GET", "/stream"), ("POST", "/cancel")]:
        theirs = await stranger.call(method, f"/orders/{order['id']}{path}")
        nobodys = await stranger.call(method, f"/orders/{uuid4()}{path}")
        for _, problem, _ in (theirs, nobodys):
            problem.pop("correlation_id")
        assert theirs[:2] == nobodys[:2]
        assert theirs[0] == 404


async def test_history_comes_in_pages_newest_first_without_refused_orders(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(5)
    bought = [(await buyer.buy((product, 1)))[1]["id"] for _ in range(5)]
    await buyer.buy((product, 1))

    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        _, page, _ = await buyer.call("GET", f"/orders?limit=2{cursor and '&cursor=' + cursor}")
        seen += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]

    assert seen == bought[::-1]
    _, refused, _ = await buyer.call("GET", "/orders?status=refused")
    assert [order["reason"]["code"] for order in refused["items"]] == ["out_of_stock"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=garbage", "status=nonsense"])
async def test_bad_pages_are_invalid(buyer: Buyer, query: str) -> None:
    assert (await buyer.call("GET", f"/orders?{query}"))[0] == 422


async def test_the_timeline_tells_what_happened_in_order(buyer: Buyer, catalog: FakeCatalog) -> None:
    _, order, _ = await buyer.buy((catalog.add(5), 1))
    await buyer.call("POST", f"/orders/{order['id']}/cancel")

    _, timeline, _ = await buyer.call("GET", f"/orders/{order['id']}/timeline")

    assert [entry["event"] for entry in timeline["items"]] == ["order.placed", "order.confirmed", "order.cancelled"]


async def test_a_cart_is_filled_changed_read_and_bought(buyer: Buyer, catalog: FakeCatalog) -> None:
    keyboard, hub = catalog.add(5, "149.99"), catalog.add(5, "49.99")
    assert (await buyer.call("POST", "/orders", {"from_cart": True}))[0] == 422
    await buyer.call("PUT", f"/cart/items/{keyboard}", {"quantity": 1})
    await buyer.call("PUT", f"/cart/items/{hub}", {"quantity": 1})
    status, cart, _ = await buyer.call("PUT", f"/cart/items/{hub}", {"quantity": 3})
    assert status == 200
    assert cart["total"] == {"amount": "299.96", "currency": "USD"}
    assert [item["quantity"] for item in cart["items"]] == [1, 3]
    assert (await buyer.call("DELETE", f"/cart/items/{keyboard}"))[0] == 204

    status, order, _ = await buyer.call("POST", "/orders", {"from_cart": True}, headers={"idempotency-key": "k"})

    assert (status, order["total"]["amount"]) == (201, "149.97")
    assert (await buyer.call("GET", "/cart"))[1]["items"] == []
    again = await buyer.call("POST", "/orders", {"from_cart": True}, headers={"idempotency-key": "k"})
    assert again[:2] == (201, order)


async def test_a_refused_purchase_leaves_the_cart_as_it_was(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(1)
    await buyer.call("PUT", f"/cart/items/{product}", {"quantity": 2})

    assert (await buyer.call("POST", "/orders", {"from_cart": True}))[0] == 409
    assert (await buyer.call("GET", "/cart"))[1]["items"][0]["quantity"] == 2


async def test_what_comes_into_the_cart_after_a_purchase_is_not_taken_out_by_its_confirmation(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    bought, put_in_anew, changed = catalog.add(5), catalog.add(5), catalog.add(5)
    for product in (bought, put_in_anew, changed):
        await buyer.call("PUT", f"/cart/items/{product}", {"quantity": 1})
    catalog.always["/reservations"] = refuse_work
    status, order, _ = await buyer.call("POST", "/orders", {"from_cart": True}, headers={"prefer": "respond-async"})
    assert status == 202

    await buyer.call("DELETE", f"/cart/items/{put_in_anew}")
    await buyer.call("PUT", f"/cart/items/{put_in_anew}", {"quantity": 1})
    await buyer.call("PUT", f"/cart/items/{changed}", {"quantity": 2})
    del catalog.always["/reservations"]
    await buyer.wait_for_status(order["id"], "confirmed")

    items = (await buyer.call("GET", "/cart"))[1]["items"]
    assert {(item["product_id"], item["quantity"]) for item in items} == {(str(put_in_anew), 1), (str(changed), 2)}


async def test_a_cart_is_readable_without_prices_while_catalog_is_down(buyer: Buyer, catalog: FakeCatalog) -> None:
    product = catalog.add(5)
    await buyer.call("PUT", f"/cart/items/{product}", {"quantity": 2})
    catalog.always["/products/lookup"] = refuse_work

    status, cart, _ = await buyer.call("GET", "/cart")

    assert (status, cart["prices"], cart["total"]) == (200, "unavailable", None)
    assert cart["items"] == [{"product_id": str(product), "quantity": 2}]


async def test_a_product_that_never_was_cannot_go_into_a_cart(buyer: Buyer) -> None:
    status, problem, _ = await buyer.call("PUT", f"/cart/items/{uuid4()}", {"quantity": 1})

    assert (status, problem["code"]) == (422, "unknown_product")


async def test_a_cart_beyond_what_money_can_be_is_kept_and_shown_without_that_total(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    much, little = catalog.add(5, price="10000000.00"), catalog.add(5, price="10.00")
    await buyer.call("PUT", f"/cart/items/{little}", {"quantity": 2})

    changed, _, _ = await buyer.call("PUT", f"/cart/items/{much}", {"quantity": 1_000_000})
    status, cart, _ = await buyer.call("GET", "/cart")

    assert (changed, status, cart["total"]) == (200, 200, None)
    assert [item.get("line_total") for item in cart["items"]] == [{"amount": "20.00", "currency": "USD"}, None]


async def test_a_cart_holds_a_hundred_products_at_the_most(buyer: Buyer, catalog: FakeCatalog, rows: Any) -> None:
    products = [catalog.add(5) for _ in range(105)]

    async def put(product: UUID) -> int:
        while True:
            status, _, _ = await buyer.call("PUT", f"/cart/items/{product}", {"quantity": 1})
            if status != 503:  # All wait for one lock: on a busy machine some are sent away.
                return status
            await asyncio.sleep(0.1)

    async with asyncio.timeout(60):
        statuses = await asyncio.gather(*(put(product) for product in products))

    assert sorted(statuses) == [200] * 100 + [422] * 5
    assert len(await rows("SELECT 1 FROM cart_items")) == 100
