"""Concurrent reservations of two replicas, each with a pool of its own, on a real PostgreSQL."""

import asyncio
import random
from itertools import chain

import pytest
from services.catalog.tests.conftest import balance_of, stock_request, stocked
from uuid_utils.compat import uuid7

from catalog.domain.reservation import Reservation, ReservationRefusal, Settlement
from catalog.release_stock import release_stock
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import SettlementRequest
from chassis.persistence.database import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_of_k_units_exactly_k_are_reserved_for_more_buyers_than_units(
    replicas: tuple[Database, Database],
) -> None:
    product = await stocked(replicas[0], 20)
    outcomes = list(
        chain.from_iterable(
            await asyncio.gather(
                *(reserve_stock(replicas[buyer % 2], [stock_request((product.id, 1))]) for buyer in range(60))
            )
        )
    )
    assert sum(isinstance(outcome, Reservation) for outcome in outcomes) == 20
    assert {outcome.code for outcome in outcomes if isinstance(outcome, ReservationRefusal)} == {"out_of_stock"}
    balance = await balance_of(replicas[0], product.id)
    assert (balance.available, balance.held, balance.difference) == (0, 20, 0)


async def test_the_same_order_from_two_replicas_takes_its_stock_once(replicas: tuple[Database, Database]) -> None:
    product = await stocked(replicas[0], 100)
    for _ in range(10):
        order = stock_request((product.id, 1))
        answers = await asyncio.gather(*(reserve_stock(replicas[number % 2], [order]) for number in range(6)))
        assert all(answer == answers[0] for answer in answers)
    balance = await balance_of(replicas[0], product.id)
    assert (balance.available, balance.held) == (90, 10)


async def test_a_repeated_order_with_other_lines_takes_the_lines_of_the_first_request_only(
    replicas: tuple[Database, Database],
) -> None:
    product, other = await stocked(replicas[0], 10), await stocked(replicas[0], 10)
    order_id = uuid7()
    answers = await asyncio.gather(
        *(
            reserve_stock(
                replicas[number % 2], [stock_request(((product, other)[number % 2].id, 1), order_id=order_id)]
            )
            for number in range(8)
        )
    )
    assert all(answer == answers[0] for answer in answers)
    held = [(await balance_of(replicas[0], id_)).held for id_ in (product.id, other.id)]
    assert sorted(held) == [0, 1]


async def test_a_release_that_races_its_reserve_leaves_nothing_held(replicas: tuple[Database, Database]) -> None:
    product = await stocked(replicas[0], 100)
    for _ in range(20):
        order = stock_request((product.id, 3))
        undo = SettlementRequest(order.order_id, Settlement.UNDO)
        await asyncio.gather(reserve_stock(replicas[0], [order]), release_stock(replicas[1], [undo]))
    balance = await balance_of(replicas[0], product.id)
    assert (balance.available, balance.held, balance.difference) == (100, 0, 0)


async def test_batches_with_the_same_products_in_any_order_never_deadlock(
    replicas: tuple[Database, Database],
) -> None:
    products = [await stocked(replicas[0], 1_000) for _ in range(6)]
    chance = random.Random(7)

    async def buy_and_undo(database: Database) -> None:
        for _ in range(6):
            orders = [
                stock_request(*((product.id, 1) for product in chance.sample(products, chance.randint(1, 6))))
                for _ in range(20)
            ]
            outcomes = await reserve_stock(database, orders)
            assert all(isinstance(outcome, Reservation) for outcome in outcomes)
            await release_stock(database, [SettlementRequest(order.order_id, Settlement.UNDO) for order in orders[::2]])

    await asyncio.gather(*(buy_and_undo(replicas[number % 2]) for number in range(6)))
    deadlocks = await replicas[0].read(
        lambda connection: connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
    )
    assert deadlocks == 0
    for product in products:
        assert (await balance_of(replicas[0], product.id)).difference == 0
