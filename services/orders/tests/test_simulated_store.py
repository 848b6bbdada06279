"""The table in memory that the simulation runs on does what the real statements do on PostgreSQL: the same calls, by
chance, on both. Whoever changes a statement changes `simulated_store` with it, or this fails."""

import dataclasses
import random
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from services.orders.tests import simulated_carts, simulated_store
from services.orders.tests.simulated_store import Table

from chassis.persistence.database import Connection, Database
from orders import store
from orders.domain.order import CANCELLED_BY_CUSTOMER, DEADLINE_PASSED, Customer, Line, NewOrder, Order, Reason

SIMULATED = SimpleNamespace(orders=simulated_store, checkout=simulated_store, carts=simulated_carts)
BUYER = Customer(UUID(int=1), "Ada", "ada@example.com")
DECLINED = Reason("payment_declined", "The card was declined.", extras={"decline_code": "card_declined"})
REASONS = [DECLINED, DEADLINE_PASSED, CANCELLED_BY_CUSTOMER]
NAMES = [
    *["insert", "confirm", "turn_round", "end_undone", "put_off", "lease_due", "cancel_confirmed", "ship"],
    *["as_settled", "by_id", "by_key", "confirm", "ship", "ship"],
    *["fill_cart", "fill_cart", "empty_cart", "buy_cart", "buy_cart", "bought_by"],
]


@pytest.mark.parametrize("seed", range(6))
async def test_the_table_in_memory_does_what_the_statements_do(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    now = await database.read(lambda connection: connection.fetchval("SELECT now()"))
    table = Table(lambda: now)
    for name in [*chance.choices(NAMES, k=600), "turn_round_of"]:
        number, chosen = chance.randrange(20), chance.sample(range(20), 3)

        async def real(connection: Connection) -> Any:
            done = await _call(store, connection, name, number, chosen)  # noqa: B023
            return done, await store.carts.contents(connection, [BUYER.id])

        expected = await database.run(real)
        done = await _call(SIMULATED, table, name, number, chosen)
        assert (done, await simulated_carts.contents(table, [BUYER.id])) == expected, (name, number, chosen)
    said = await database.read(_journal)
    expected = [(entry.type, str(entry.order_id), entry.told, entry.was_confirmed) for entry in table.journal]
    assert sorted(expected, key=_order_of) == sorted(said, key=_order_of), "the same events, in order by order"
    assert {type_ for type_, *_ in said} == {"order.placed", "order.confirmed", "order.cancelled", "order.shipped"}


async def _call(where: Any, connection: Any, name: str, number: int, chosen: list[int]) -> Any:
    """What a call answers, without what differs from one clock to the other."""
    there = await where.orders.by_ids(connection, [_id(one) for one in chosen])
    orders = [there[_id(one)] for one in chosen if _id(one) in there]
    for order in orders:
        lines = tuple(Line(line.product_id, line.quantity, "Pen", 100 + number) for line in order.lines)
        order.take_prices(lines, "USD", sum(line.total_minor for line in lines))
    match name:
        case "insert":
            news = [(_new(one), BUYER) for one in chosen]
            return _seen((await where.orders.insert(connection, news, lease_s=-1.0, deadline_s=60.0)).values())
        case "confirm":
            return sorted(await where.checkout.confirm(connection, orders))
        case "turn_round":
            turns = [(order, REASONS[number % 3]) for order in orders]
            return _seen(await where.checkout.turn_round(connection, turns, lease_s=[-1.0, 60.0][number % 2]))
        case "end_undone":
            ends = [(order, DECLINED if one % 2 else None) for one, order in enumerate(orders, number)]
            return _seen(await where.checkout.end_undone(connection, ends, lambda order_id: order_id.int % 2 == 0))
        case "put_off":
            delays = [(order.id, [-1.0, 60.0][number % 2], "trouble") for order in orders]
            return await where.checkout.put_off(connection, delays)
        case "lease_due":
            return sorted(_seen(await where.checkout.lease_due(connection, 100, lease_s=[-1.0, 60.0][number % 2])))
        case "cancel_confirmed":
            return [
                _seen([await where.orders.cancel_confirmed(connection, order, DEADLINE_PASSED)]) for order in orders
            ]
        case "ship":
            return [_seen([await where.orders.ship(connection, order)]) for order in orders[:1]]
        case "as_settled":
            return [_seen([await where.orders.as_settled(connection, order)]) for order in orders]
        case "turn_round_of":
            await where.checkout.turn_round_of(connection, [BUYER.id], CANCELLED_BY_CUSTOMER)
            there = await where.orders.by_ids(connection, [_id(one) for one in range(20)])
            return _seen(there[_id(one)] for one in range(20) if _id(one) in there)
        case "fill_cart":
            await where.carts.begin_change(connection, [BUYER.id])
            return await where.carts.put(connection, BUYER.id, Line(UUID(int=number % 3), 1 + number), most=2)
        case "empty_cart":
            await where.carts.begin_change(connection, [BUYER.id])
            return await where.carts.drop(connection, [BUYER.id], UUID(int=number) if number < 3 else None)
        case "buy_cart":
            await where.carts.lock(connection, [BUYER.id])
            in_cart = (await where.carts.contents(connection, [BUYER.id])).get(BUYER.id)
            if in_cart is None or await where.orders.by_id(connection, _id(number)) is not None:
                return None
            new = dataclasses.replace(_new(number), lines=in_cart, from_cart=True, idempotency_key=None)
            placed = await where.orders.insert(connection, [(new, BUYER)], lease_s=-1.0, deadline_s=60.0)
            await where.carts.take(connection, list(placed.values()))
            return _seen(placed.values())
        case "bought_by":
            return await where.carts.bought_by(connection, BUYER.id)
        case "by_id":
            found = await where.orders.by_id(connection, _id(number))
            return found and _seen([found])
        case "by_key":
            found = await where.orders.by_key(connection, BUYER.id, f"key {number % 15}")
            return found and (_seen([found[0]]), found[1])


def _id(number: int) -> UUID:
    return UUID(int=1_000 + number)


def _new(number: int) -> NewOrder:
    return NewOrder(
        id=_id(number),
        user_id=BUYER.id,
        lines=(Line(UUID(int=9), 1),),
        payment_method="pm_card_visa",
        expected_total_minor=None,
        expected_currency=None,
        from_cart=False,
        answer_later=False,
        idempotency_key=f"key {number % 15}" if number != 5 else None,  # Some share one.
        fingerprint=bytes(32),
        correlation_id="c",
        traceparent=None,
    )


def _seen(orders: Any) -> list[Any]:
    return [_seen_of(order) for order in orders]


def _seen_of(order: Order) -> Any:
    times = order.confirmed_at is not None, order.ended_at is not None
    told = order.deadline_at - order.created_at == timedelta(seconds=60)
    reason = None if order.reason is None else (order.reason.code, order.reason.ends_as, dict(order.reason.extras))
    return order.id, order.status, order.lines, order.total_minor, order.currency, reason, order.attempts, times, told


def _order_of(said: tuple[str, str, bool, bool]) -> str:
    return said[1]


async def _journal(connection: Connection) -> list[tuple[str, str, bool, bool]]:
    rows = await connection.fetch(
        """
        SELECT type, subject,
               coalesce((data ->> 'told')::boolean, false) AS told,
               coalesce((data ->> 'was_confirmed')::boolean, false) AS was_confirmed
        FROM journal
        ORDER BY position
        """
    )
    return [(row["type"], row["subject"], row["told"], row["was_confirmed"]) for row in rows]
