"""A cart is bought at most once, however often and wherever it is asked for; and what is not bought is not lost."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, refuse_work

from chassis.persistence.database import Database
from orders import store
from orders.buy_carts import buy_carts
from orders.domain.order import Customer, Line, NewOrder, Order
from orders.errors import CartAlreadyBought

FROM_CART = {"from_cart": True}
ASYNC = {"prefer": "respond-async"}
SENDER = {"without keys": [{}, {}], "with two keys": [{"idempotency-key": "a"}, {"idempotency-key": "b"}]}
Answer = tuple[int, Any, dict[str, str]]


async def fill(buyer: Buyer, *lines: tuple[UUID, int]) -> None:
    for product, quantity in lines:
        status, cart, _ = await buyer.call("PUT", f"/cart/items/{product}", {"quantity": quantity})
        assert status == 200, cart


async def in_cart(buyer: Buyer) -> list[tuple[str, int]]:
    _, cart, _ = await buyer.call("GET", "/cart")
    return [(item["product_id"], item["quantity"]) for item in cart["items"]]


async def buy_cart(buyer: Buyer, **headers: str) -> Answer:
    return await buyer.call("POST", "/orders", FROM_CART, headers={k.replace("_", "-"): v for k, v in headers.items()})


def assert_bought_once(answers: list[Answer], *accepted: int) -> str:
    """One was accepted, and every other one is told by which order. Answers the id of that."""
    orders = [order for status, order, _ in answers if status in accepted]
    refusals = [problem for status, problem, _ in answers if status not in accepted]
    assert len(orders) == 1, answers
    assert {(told["code"], told["order_id"]) for told in refusals} == {("cart_already_bought", orders[0]["id"])}, (
        answers
    )
    return str(orders[0]["id"])


@pytest.mark.parametrize("sent", SENDER.values(), ids=SENDER)
@pytest.mark.parametrize("more", [{}, ASYNC], ids=["waiting", "respond-async"])
async def test_a_cart_that_is_bought_twice_at_once_makes_one_order(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, rows: Any, sent: Any, more: dict[str, str]
) -> None:
    product = catalog.add(10)
    await fill(buyer, (product, 2))

    answers = await asyncio.gather(
        *(buyer.call("POST", "/orders", FROM_CART, headers={**headers, **more}) for headers in sent)
    )

    order_id = assert_bought_once(list(answers), 202 if more else 201)
    await buyer.wait_for_status(order_id, "confirmed")
    assert len(await rows("SELECT FROM orders")) == 1
    assert catalog.stock[product] == 8
    assert payments.authorizations == 1
    assert await in_cart(buyer) == []


async def test_a_cart_that_is_bought_by_many_at_two_replicas_makes_one_order(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, rows: Any
) -> None:
    buyer = make_buyer(await start_orders())
    at_another = Buyer(buyer.id, await start_orders(), buyer.session, buyer.token)
    for round_ in range(5):
        await fill(buyer, (catalog.add(100), 1), (catalog.add(100), 3))
        answers = await asyncio.gather(
            *(
                buy_cart(who, idempotency_key=f"{round_} {number} {where}")
                for number in range(6)
                for where, who in enumerate((buyer, at_another))
            )
        )
        assert_bought_once(list(answers), 201)
    assert len(await rows("SELECT FROM orders")) == 5


async def test_a_cart_is_not_bought_again_while_its_first_order_is_pending(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments
) -> None:
    payments.always["/payments"] = refuse_work
    await fill(buyer, (catalog.add(5), 1))
    first = await buy_cart(buyer, **ASYNC)
    assert await in_cart(buyer) == []

    order_id = assert_bought_once([first, await buy_cart(buyer), await buy_cart(buyer, **ASYNC)], 202)

    payments.always.clear()
    await buyer.wait_for_status(order_id, "confirmed")


async def test_a_cart_that_was_filled_anew_is_bought_anew_while_its_first_order_is_pending(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments
) -> None:
    product = catalog.add(5)
    payments.always["/payments"] = refuse_work
    await fill(buyer, (product, 1))
    first = await buy_cart(buyer, **ASYNC)
    await fill(buyer, (product, 1))
    second = await buy_cart(buyer, **ASYNC)
    assert (first[0], second[0]) == (202, 202)
    payments.always.clear()
    for _, order, _ in (first, second):
        await buyer.wait_for_status(order["id"], "confirmed")
    assert catalog.stock[product] == 3


async def test_the_same_key_gives_the_same_order_after_the_cart_was_emptied_and_filled_anew(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    await fill(buyer, (catalog.add(5), 1))
    first = await buy_cart(buyer, idempotency_key="k")
    assert first[0] == 201
    assert (await buy_cart(buyer, idempotency_key="k"))[:2] == first[:2]
    await fill(buyer, (kept := catalog.add(5), 2))
    assert (await buy_cart(buyer, idempotency_key="k"))[:2] == first[:2]
    assert await in_cart(buyer) == [(str(kept), 2)]


async def test_a_key_that_came_too_late_is_refused_again_after_the_cart_was_filled_anew(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    await fill(buyer, (catalog.add(5), 1))
    _, order, _ = await buy_cart(buyer, idempotency_key="first")
    too_late = await buy_cart(buyer, idempotency_key="second")
    await fill(buyer, (catalog.add(5), 1))

    again = await buy_cart(buyer, idempotency_key="second")

    assert (too_late[0], too_late[1]["order_id"]) == (409, order["id"])
    for _, problem, _ in (too_late, again):
        del problem["correlation_id"]
    assert again[:2] == too_late[:2]
    other = {**FROM_CART, "payment_method": "pm_card_visa"}
    status, problem, _ = await buyer.call("POST", "/orders", other, headers={"idempotency-key": "second"})
    assert (status, problem["code"]) == (422, "key_used_again")


async def test_an_empty_cart_that_was_not_bought_is_nothing_to_buy(buyer: Buyer, catalog: FakeCatalog) -> None:
    await fill(buyer, (catalog.add(5), 1))
    await buy_cart(buyer)
    await fill(buyer, (catalog.add(5), 1))
    await buyer.call("DELETE", "/cart")

    status, problem, _ = await buy_cart(buyer)

    assert (status, problem["code"]) == (422, "nothing_to_buy")


async def test_a_refused_order_gives_the_cart_back_and_it_can_be_bought(buyer: Buyer, catalog: FakeCatalog) -> None:
    plenty, scarce = catalog.add(10), catalog.add(1)
    await fill(buyer, (scarce, 2), (plenty, 3))

    status, problem, _ = await buy_cart(buyer)
    assert (status, problem["code"]) == (409, "out_of_stock")
    assert await in_cart(buyer) == [(str(scarce), 2), (str(plenty), 3)]

    catalog.stock[scarce] = 2
    assert (await buy_cart(buyer))[0] == 201
    assert await in_cart(buyer) == []


async def test_a_declined_card_gives_the_cart_back(buyer: Buyer, catalog: FakeCatalog) -> None:
    await fill(buyer, (product := catalog.add(10), 3))
    body = {**FROM_CART, "payment_method": "pm_card_chargeDeclined"}

    assert (await buyer.call("POST", "/orders", body))[0] == 402

    assert await in_cart(buyer) == [(str(product), 3)]


async def pending(buyer: Buyer, payments: FakePayments) -> str:
    payments.always["/payments"] = refuse_work
    status, order, _ = await buy_cart(buyer, **ASYNC)
    assert status == 202, order
    return str(order["id"])


@pytest.mark.parametrize("by", ["customer", "operator"])
async def test_a_pending_order_that_is_cancelled_gives_the_cart_back(
    buyer: Buyer, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, by: str
) -> None:
    await fill(buyer, (product := catalog.add(10), 3))
    order_id = await pending(buyer, payments)
    operator = make_buyer(buyer.base_url, roles=["customer", "admin"])

    if by == "customer":
        await buyer.call("POST", f"/orders/{order_id}/cancel")
    else:
        await operator.call("POST", f"/orders/{order_id}/cancel-for-operator", {"reason": "a call"})

    await buyer.wait_for_status(order_id, "cancelled")
    assert await in_cart(buyer) == [(str(product), 3)]


async def test_an_order_that_is_cancelled_after_its_confirmation_leaves_the_cart_alone(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    await fill(buyer, (catalog.add(10), 3))
    _, order, _ = await buy_cart(buyer)
    await buyer.call("POST", f"/orders/{order['id']}/cancel")
    await buyer.wait_for_status(order["id"], "cancelled")
    assert await in_cart(buyer) == []


CHANGES: dict[str, tuple[str, str, Any, list[int]]] = {
    "puts another product": ("PUT", "/cart/items/{other}", {"quantity": 1}, [1]),
    "puts the same product": ("PUT", "/cart/items/{product}", {"quantity": 2}, [2]),
    "drops a product": ("DELETE", "/cart/items/{product}", None, []),
    "empties the cart": ("DELETE", "/cart", None, []),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_items_are_not_restored_into_a_cart_that_its_customer_has_changed(
    buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, change: str
) -> None:
    method, path, body, quantities = CHANGES[change]
    product, other = catalog.add(10), catalog.add(10)
    await fill(buyer, (product, 3))
    order_id = await pending(buyer, payments)

    status, _, _ = await buyer.call(method, path.format(product=product, other=other), body)
    assert status < 300
    await buyer.call("POST", f"/orders/{order_id}/cancel")

    await buyer.wait_for_status(order_id, "cancelled")
    assert [quantity for _, quantity in await in_cart(buyer)] == quantities


async def test_each_product_that_is_put_in_while_the_cart_is_bought_is_bought_once_or_still_there(
    buyer: Buyer, catalog: FakeCatalog
) -> None:
    products = [catalog.add(10) for _ in range(30)]

    async def put(product: UUID) -> None:
        await fill(buyer, (product, 1))

    answers = await asyncio.gather(
        *(work for product in products for work in (put(product), buy_cart(buyer, idempotency_key=str(product))))
    )

    bought = [
        item["product_id"]
        for answer in answers
        if answer is not None and answer[0] == 201
        for item in answer[1]["items"]
    ]
    assert sorted([*bought, *(product for product, _ in await in_cart(buyer))]) == sorted(map(str, products))


# --- What has no answer, and what an older replica does


ADA = Customer(UUID(int=1), "Ada", "ada@example.com")


def new_order(key: str | None = None) -> NewOrder:
    return NewOrder(
        id=uuid4(),
        user_id=ADA.id,
        lines=(),
        payment_method=None,
        expected_total_minor=None,
        expected_currency=None,
        from_cart=True,
        answer_later=False,
        idempotency_key=key,
        fingerprint=b"",
        correlation_id="c",
        traceparent=None,
    )


async def bought(database: Database, *news: NewOrder) -> dict[UUID, Any]:
    purchases = [(new, ADA) for new in news]
    return await database.run(lambda connection: buy_carts(connection, purchases, lease_s=5.0, deadline_s=60.0))


async def put_line(database: Database, line: Line) -> None:
    async def put(connection: Any) -> None:
        await store.carts.begin_change(connection, [ADA.id])
        assert await store.carts.put(connection, ADA.id, line, lines_max=100)

    await database.run(put)


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_purchase_whose_commit_was_not_answered_finds_its_own_order(
    database: Database, key: str | None
) -> None:
    first, line, later = new_order(key), Line(uuid4(), 2), Line(uuid4(), 1)
    await put_line(database, line)
    placed = (await bought(database, first))[first.id]
    await put_line(database, later)

    again = (await bought(database, first))[first.id]

    assert isinstance(again, Order)
    assert (again.id, again.lines) == (placed.id, (line,))
    assert await database.read(lambda connection: store.carts.cart(connection, ADA.id)) == (later,)


async def test_purchases_of_one_cart_in_one_batch_make_one_order(database: Database) -> None:
    await put_line(database, Line(uuid4(), 2))
    news = [new_order("a"), new_order("b"), new_order(), new_order("a")]

    answers = await bought(database, *news)

    first, *others, repeated = news
    assert isinstance(answers[first.id], Order)
    for other in others:
        assert isinstance(answers[other.id], CartAlreadyBought)
        assert answers[other.id].extras == {"order_id": str(first.id)}
    assert repeated.id not in answers, "it is answered as the first with its key"


async def test_a_purchase_whose_key_has_an_order_leaves_the_cart_to_the_next(database: Database) -> None:
    await put_line(database, Line(uuid4(), 1))
    await bought(database, new_order("a"))
    await put_line(database, line := Line(uuid4(), 2))
    repeated, other = new_order("a"), new_order("b")

    answers = await bought(database, repeated, other)

    assert repeated.id not in answers
    assert answers[other.id].lines == (line,)


async def test_an_order_that_an_older_replica_has_placed_empties_the_cart_at_its_confirmation(
    buyer: Buyer, catalog: FakeCatalog, rows: Any
) -> None:
    """It has left its lines there. What was put in since stays."""
    product, later = catalog.add(5), catalog.add(5)
    await fill(buyer, (product, 2))
    order_id = uuid4()
    lines = f'[{{"product_id": "{product}", "quantity": 2}}]'
    await rows(
        """
        INSERT INTO orders (id, user_id, customer_name, customer_email, lines, from_cart, answer_later, fingerprint,
                            correlation_id, deadline_at, next_attempt_at)
        VALUES ($1, $2, 'Ada', 'ada@example.com', $3, true, true, '', 'c', now() + interval '1 min',
                now() + interval '0.5 s')
        """,
        order_id,
        buyer.id,
        lines,
    )
    await fill(buyer, (later, 1))

    await buyer.wait_for_status(str(order_id), "confirmed")

    assert await in_cart(buyer) == [(str(later), 1)]


async def test_what_an_older_replica_puts_into_a_bought_cart_can_be_bought(
    buyer: Buyer, catalog: FakeCatalog, rows: Any
) -> None:
    """It counts no version."""
    product = catalog.add(5)
    await fill(buyer, (product, 1))
    assert (await buy_cart(buyer))[0] == 201
    await rows("INSERT INTO cart_items (user_id, product_id, quantity) VALUES ($1, $2, 2)", buyer.id, product)

    assert (await buy_cart(buyer))[0] == 201

    assert catalog.stock[product] == 2
