"""All stock is available, held or sold after any settlements in any order, and none is returned twice."""

import random
from functools import partial

import pytest
from services.catalog.tests.conftest import balance_of, event_of, new_creation, stock_request, stocked
from uuid_utils.compat import uuid7

from catalog.adjust_stock import adjust_stock
from catalog.domain.reservation import Reservation, Settlement, StockRequest
from catalog.release_stock import release_stock
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import SettlementRequest, settle_reservations
from catalog.workers import consumer
from chassis.persistence.database import Connection, Database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("seed", range(4))
async def test_stock_is_conserved_under_random_batches(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    products = [await stocked(database, 30) for _ in range(4)]
    orders: list[StockRequest] = []
    for _ in range(40):
        match chance.choice(["reserve", "reserve", "release", "settle", "adjust"]):
            case "reserve":
                new = [
                    stock_request(*((product.id, chance.randint(1, 4)) for product in chance.sample(products, 2)))
                    for _ in range(chance.randint(1, 5))
                ]
                orders += new
                # Some orders are requested again, as after a lost answer.
                again = chance.sample(orders, min(len(orders), 2))
                outcomes = await reserve_stock(database, [*new, *again, new[0]])
                assert outcomes[0] == outcomes[-1]
            case "release":
                undone = chance.sample(orders, min(len(orders), 3))
                await release_stock(database, [SettlementRequest(order.order_id, Settlement.UNDO) for order in undone])
            case "settle":
                requests = [
                    SettlementRequest(order.order_id, chance.choice([Settlement.CONFIRMATION, Settlement.CANCELLATION]))
                    for order in chance.choices(orders, k=6 if orders else 0)
                ]
                await database.run(partial(settle_reservations, requests=requests))
            case "adjust":
                product = chance.choice(products)
                await adjust_stock(database, product.id, chance.randint(1, 5), "restock", new_creation())
        for product in products:
            balance = await balance_of(database, product.id)
            assert balance.difference == 0, f"seed {seed}"
            assert min(balance.available, balance.held, balance.sold) >= 0


async def test_a_confirmed_order_is_sold_and_cannot_be_released_any_more(database: Database) -> None:
    product = await stocked(database, 5)
    order = stock_request((product.id, 2))
    await reserve_stock(database, [order])
    await consume(database, ("order.confirmed", order), ("order.confirmed", order))
    [released] = await release_stock(database, [SettlementRequest(order.order_id, Settlement.UNDO)])
    assert released.state == "sold"
    balance = await balance_of(database, product.id)
    assert (balance.available, balance.held, balance.sold) == (3, 0, 2)


async def test_a_cancelled_order_returns_its_sold_stock_once(database: Database) -> None:
    product = await stocked(database, 5)
    order = stock_request((product.id, 2))
    await reserve_stock(database, [order])
    await consume(database, ("order.confirmed", order), ("order.cancelled", order))
    await consume(database, ("order.cancelled", order))
    balance = await balance_of(database, product.id)
    assert (balance.available, balance.held, balance.sold) == (5, 0, 0)


async def test_a_cancellation_before_the_confirmation_wins(database: Database) -> None:
    product = await stocked(database, 5)
    order = stock_request((product.id, 2))
    await reserve_stock(database, [order])
    await consume(database, ("order.cancelled", order), ("order.confirmed", order))
    balance = await balance_of(database, product.id)
    assert (balance.available, balance.held, balance.sold) == (5, 0, 0)


async def test_a_cancellation_before_the_reservation_leaves_a_tombstone(database: Database) -> None:
    product = await stocked(database, 5)
    order = stock_request((product.id, 2))
    await consume(database, ("order.cancelled", order))
    [outcome] = await reserve_stock(database, [order])
    assert not isinstance(outcome, Reservation)
    assert outcome.code == "released"
    assert (await balance_of(database, product.id)).available == 5


async def test_released_stock_returns_to_a_deleted_product(database: Database) -> None:
    product = await stocked(database, 5)
    order = stock_request((product.id, 2))
    await reserve_stock(database, [order])
    await database.run(
        lambda connection: connection.execute("UPDATE products SET deleted_at = now() WHERE id = $1", product.id)
    )
    await release_stock(database, [SettlementRequest(order.order_id, Settlement.UNDO)])
    assert (await balance_of(database, product.id)).available == 5


async def test_a_reservation_keeps_its_price(database: Database) -> None:
    product = await stocked(database, 5, price_minor=1_000)
    order = stock_request((product.id, 2))
    [before] = await reserve_stock(database, [order])
    await database.run(
        lambda connection: connection.execute("UPDATE products SET price_minor = 1 WHERE id = $1", product.id)
    )
    assert await reserve_stock(database, [order]) == [before]
    assert isinstance(before, Reservation)
    assert before.total_minor == 2_000


async def consume(database: Database, *news: tuple[str, StockRequest]) -> None:
    events = [event_of(kind, {"order_id": str(order.order_id), "user_id": str(uuid7())}) for kind, order in news]

    async def work(connection: Connection) -> None:
        await consumer.handle(connection, events)

    await database.run(work)
