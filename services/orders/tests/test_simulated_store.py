"""The table in memory that the simulation runs on does what the real statements do on PostgreSQL: the same calls, by
chance, on both. A changed statement needs the same change in `simulated_store`, or this fails."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from services.orders.tests import simulated_carts, simulated_store
from services.orders.tests.simulated_store import Table

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from orders import events, store
from orders.domain.order import (
    CANCELLED_BY_CUSTOMER,
    DEADLINE_PASSED,
    Customer,
    Line,
    NewOrder,
    Order,
    OrderEvent,
    Reason,
    Status,
)

SIMULATED = SimpleNamespace(orders=simulated_store, checkout=simulated_store, carts=simulated_carts)
BUYER = Customer(UUID(int=1), "Ada", "ada@example.com")
DECLINED = Reason("payment_declined", "The card was declined.", extras={"decline_code": "card_declined"})
REASONS = [DECLINED, DEADLINE_PASSED, CANCELLED_BY_CUSTOMER]
NAMES = [
    *["insert", "confirm", "begin_compensation", "end", "defer", "lease_due", "cancel", "ship"],
    *["as_settled", "by_id", "by_key", "confirm", "ship", "ship"],
    *["fill_cart", "fill_cart", "empty_cart", "buy_cart", "buy_cart", "bought_by"],
]


@pytest.mark.parametrize("seed", range(6))
async def test_the_table_in_memory_does_what_the_statements_do(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    now = await database.read(lambda connection: connection.fetchval("SELECT now()"))
    table = Table(lambda: now)
    for name in [*chance.choices(NAMES, k=600), "begin_compensation_of_users"]:
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
    match name:
        case "insert":
            news = [(_new(one), BUYER) for one in chosen]
            return _seen((await where.orders.insert(connection, news, lease_s=-1.0, deadline_s=60.0)).values())
        case "confirm":
            # Others have changed some of them since, which the statement has to see.
            transitions = [_priced(replace(order, status=Status.PENDING), number).confirm() for order in orders]
            confirmed = [order for order, _ in transitions]
            domain_events = [event for _, of_order in transitions for event in of_order]
            return sorted(_seen((await where.checkout.confirm(connection, confirmed, domain_events)).values()))
        case "begin_compensation":
            begun = [
                order.begin_compensation(REASONS[number % 3])[0] for order in orders if order.status is Status.PENDING
            ]
            return await where.checkout.begin_compensation(connection, begun, lease_s=[-1.0, 60.0][number % 2])
        case "end":
            ended = [_ended(order) for order in orders]
            domain_events = [event for _, of_order in ended for event in of_order]
            rows = await where.checkout.end(connection, [order for order, of_order in ended if of_order])
            await _append(connection, domain_events)
            await where.carts.restore_items(connection, list(rows.values()))
            return sorted(_seen(rows.values()))
        case "defer":
            deferrals = [(order.id, [-1.0, 60.0][number % 2], "trouble") for order in orders]
            return await where.checkout.defer(connection, deferrals)
        case "lease_due":
            return sorted(_seen(await where.checkout.lease_due(connection, 100, lease_s=[-1.0, 60.0][number % 2])))
        case "cancel":
            for order in [order for order in orders if order.status is Status.CONFIRMED]:
                cancelled, domain_events = order.cancel(DEADLINE_PASSED)
                await _append(connection, domain_events)
                return _seen([await where.orders.cancel(connection, cancelled)])
        case "ship":
            for order in [order for order in orders if order.status is Status.CONFIRMED][:1]:
                shipped, domain_events = order.ship()
                await _append(connection, domain_events)
                await where.orders.ship(connection, shipped)
        case "as_settled":
            return [_seen([await where.orders.as_settled(connection, order)]) for order in orders]
        case "begin_compensation_of_users":
            await where.checkout.begin_compensation_of_users(connection, [BUYER.id], CANCELLED_BY_CUSTOMER)
            there = await where.orders.by_ids(connection, [_id(one) for one in range(20)])
            return _seen(there[_id(one)] for one in range(20) if _id(one) in there)
        case "fill_cart":
            await where.carts.begin_change(connection, [BUYER.id])
            return await where.carts.put(connection, BUYER.id, Line(UUID(int=number % 3), 1 + number), lines_max=2)
        case "empty_cart":
            await where.carts.begin_change(connection, [BUYER.id])
            return await where.carts.remove(connection, [BUYER.id], UUID(int=number) if number < 3 else None)
        case "buy_cart":
            await where.carts.lock(connection, [BUYER.id])
            in_cart = (await where.carts.contents(connection, [BUYER.id])).get(BUYER.id)
            if in_cart is None or await where.orders.by_id(connection, _id(number)) is not None:
                return None
            new = replace(_new(number), lines=in_cart, from_cart=True, idempotency_key=None)
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
    return None


def _priced(order: Order, number: int) -> Order:
    lines = tuple(Line(line.product_id, line.quantity, "Pen", 100 + number) for line in order.lines)
    return order.price(lines, "USD", sum(line.total_minor for line in lines))


def _ended(order: Order) -> tuple[Order, Sequence[OrderEvent]]:
    notify = order.id.int % 2 == 0
    if order.status is Status.CANCELLING:
        return order.finish_compensation(notify_customer=notify)
    if order.status is Status.PENDING and not order.attempts:
        return order.refuse(DECLINED, notify_customer=notify)
    return order, ()


async def _append(connection: Any, domain_events: Sequence[OrderEvent]) -> None:
    if isinstance(connection, Table):
        connection.append(domain_events)
    else:
        await journal.append(connection, events.journal_events(domain_events))


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
