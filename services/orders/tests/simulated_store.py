"""The table of orders in memory: for the simulation, in place of `orders.store.orders` and
`orders.store.checkout`, whose functions it has by name.

A transaction happens at one moment. `test_simulated_store.py` holds it to what the real statements do on PostgreSQL.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.orders.tests import simulated_carts

from orders.domain.order import Customer, NewOrder, Order, Reason, Status

PRESENT = {Status.PENDING, Status.CANCELLING}


@dataclass(frozen=True, slots=True)
class Said:
    """An event in the journal."""

    type: str
    order_id: UUID
    was_confirmed: bool = False
    told: bool = False


@dataclass
class Table:
    """The rows, what else the database keeps of them, and the journal. Plays the connection, too."""

    now: Callable[[], datetime]
    rows: dict[UUID, Order] = field(default_factory=dict)
    due_at: dict[UUID, datetime] = field(default_factory=dict)
    keys: dict[tuple[UUID, str], tuple[UUID, bytes]] = field(default_factory=dict)
    journal: list[Said] = field(default_factory=list)
    ways: dict[UUID, list[Status]] = field(default_factory=dict)
    """The states that each order went through."""
    put_off: set[UUID] = field(default_factory=set)
    """Orders that were put off at least once."""

    deleted: set[UUID] = field(default_factory=set)
    """Customers whose account is deleted."""
    cart_versions: dict[UUID, int] = field(default_factory=dict)
    cart_items: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    cart_purchases: dict[tuple[UUID, int], UUID] = field(default_factory=dict)
    cart_refusals: dict[tuple[UUID, str], tuple[bytes, UUID]] = field(default_factory=dict)

    def move(self, order_id: UUID, status: Status, *, ended: bool = False) -> None:
        row = self.rows[order_id]
        row.status = status
        self.ways[order_id].append(status)
        if ended:
            row.ended_at = self.now()

    def with_status(self, order_id: UUID, *statuses: Status) -> bool:
        return order_id in self.rows and self.rows[order_id].status in statuses

    def in_seconds(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)


async def insert(
    table: Table, orders: Sequence[tuple[NewOrder, Customer]], *, lease_s: float, deadline_s: float
) -> dict[UUID, Order]:
    placed = {}
    for new, customer in orders:
        key = (new.user_id, new.idempotency_key or str(new.id))
        if new.id in table.rows or key in table.keys:
            continue
        table.keys[key] = (new.id, new.fingerprint)
        table.rows[new.id] = Order(
            id=new.id,
            customer=customer,
            lines=new.lines,
            status=Status.PENDING,
            correlation_id=new.correlation_id,
            traceparent=new.traceparent,
            created_at=table.now(),
            deadline_at=table.in_seconds(deadline_s),
            payment_method=new.payment_method,
            expected_total_minor=new.expected_total_minor,
            expected_currency=new.expected_currency,
            from_cart=new.from_cart,
            answer_later=new.answer_later,
        )
        table.due_at[new.id] = table.in_seconds(lease_s)
        table.ways[new.id] = [Status.PENDING]
        table.journal.append(Said("order.placed", new.id))
        placed[new.id] = copy(table.rows[new.id])
    return placed


async def by_ids(table: Table, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    return {order_id: copy(table.rows[order_id]) for order_id in order_ids if order_id in table.rows}


async def by_id(table: Table, order_id: UUID) -> Order | None:
    return (await by_ids(table, [order_id])).get(order_id)


async def by_key(table: Table, user_id: UUID, key: str) -> tuple[Order, bytes] | None:
    if (user_id, key) not in table.keys:
        return None
    order_id, fingerprint = table.keys[user_id, key]
    return copy(table.rows[order_id]), fingerprint


async def confirm(table: Table, orders: Sequence[Order]) -> dict[UUID, datetime]:
    times = {}
    for order in orders:
        if table.with_status(order.id, Status.PENDING) and order.customer.id not in table.deleted:
            row = table.rows[order.id]
            row.lines, row.currency, row.total_minor = order.lines, order.currency, order.total_minor
            row.confirmed_at = times[order.id] = table.now()
            table.move(order.id, Status.CONFIRMED)
            table.journal.append(Said("order.confirmed", order.id))
    return times


async def turn_round(table: Table, turns: Sequence[tuple[Order, Reason]], *, lease_s: float) -> list[Order]:
    for order, reason in turns:
        if table.with_status(order.id, Status.PENDING):
            table.rows[order.id].reason = reason
            table.due_at[order.id] = table.in_seconds(lease_s)
            table.move(order.id, Status.CANCELLING)
    return await reread(table, [order for order, _ in turns])


async def turn_round_of(table: Table, user_ids: Sequence[UUID], reason: Reason) -> None:
    for order_id, row in table.rows.items():
        if row.customer.id in user_ids and row.status is Status.PENDING:
            row.reason = reason
            table.due_at[order_id] = table.now()
            table.move(order_id, Status.CANCELLING)


async def end_undone(
    table: Table, ends: Sequence[tuple[Order, Reason | None]], is_awaited: Callable[[UUID], bool]
) -> list[Order]:
    for order, reason in ends:
        row = table.rows[order.id]
        if row.status is Status.CANCELLING if reason is None else row.status is Status.PENDING and not row.attempts:
            row.reason = row.reason if reason is None else reason
            assert row.reason is not None
            table.move(order.id, row.reason.ends_as, ended=True)
            told = is_awaited(order.id) and row.status is Status.REFUSED
            table.journal.append(Said("order.cancelled", order.id, told=told))
            await simulated_carts.give_back(table, [row])
    return await reread(table, [order for order, _ in ends])


async def reread(table: Table, orders: Sequence[Order]) -> list[Order]:
    return [copy(table.rows[order.id]) for order in orders]


async def as_settled(table: Table, order: Order) -> Order:
    return copy(table.rows[order.id])


async def put_off(table: Table, delays: Sequence[tuple[UUID, float, str]]) -> None:
    for order_id, delay_s, _ in delays:
        if table.with_status(order_id, *PRESENT):
            table.due_at[order_id] = table.in_seconds(delay_s)
            table.put_off.add(order_id)


async def lease_due(table: Table, limit: int, *, lease_s: float) -> list[Order]:
    due = sorted(
        (due_at, order_id)
        for order_id, due_at in table.due_at.items()
        if table.with_status(order_id, *PRESENT) and due_at <= table.now()
    )
    for _, order_id in due[:limit]:
        table.due_at[order_id] = table.in_seconds(lease_s)
        table.rows[order_id].attempts += 1
    return [copy(table.rows[order_id]) for _, order_id in due[:limit]]


async def backlog(table: Table) -> tuple[int, float]:
    ages = [(table.now() - row.created_at).total_seconds() for row in table.rows.values() if row.status in PRESENT]
    return len(ages), max(ages, default=0.0)


async def cancel_confirmed(table: Table, order: Order, reason: Reason) -> Order:
    if table.with_status(order.id, Status.CONFIRMED):
        table.rows[order.id].reason = reason
        table.move(order.id, Status.CANCELLED, ended=True)
        table.journal.append(Said("order.cancelled", order.id, was_confirmed=True))
    return (await reread(table, [order]))[0]


async def ship(table: Table, order: Order) -> Order:
    if table.with_status(order.id, Status.CONFIRMED):
        table.move(order.id, Status.SHIPPED)
        table.journal.append(Said("order.shipped", order.id))
    return (await reread(table, [order]))[0]
