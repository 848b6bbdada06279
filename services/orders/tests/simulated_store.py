"""The table of orders in memory: for the simulation, in place of `orders.store.orders` and
`orders.store.checkout`, whose functions it has by name.

A transaction happens at one moment. `test_simulated_store.py` holds it to what the real statements do on PostgreSQL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from orders import events
from orders.domain.order import (
    Customer,
    NewOrder,
    Order,
    OrderConfirmed,
    OrderEvent,
    OrderPlaced,
    Reason,
    Status,
)

UNFINISHED = {Status.PENDING, Status.CANCELLING}


@dataclass(frozen=True, slots=True)
class Emitted:
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
    journal: list[Emitted] = field(default_factory=list)
    states: dict[UUID, list[Status]] = field(default_factory=dict)
    """The states that each order went through."""
    deferred: set[UUID] = field(default_factory=set)
    """Orders that were deferred at least once."""

    deleted: set[UUID] = field(default_factory=set)
    """Customers whose account is deleted."""
    cart_versions: dict[UUID, int] = field(default_factory=dict)
    cart_items: dict[UUID, dict[UUID, int]] = field(default_factory=dict)
    cart_purchases: dict[tuple[UUID, int], UUID] = field(default_factory=dict)
    cart_refusals: dict[tuple[UUID, str], tuple[bytes, UUID]] = field(default_factory=dict)

    def change(self, order_id: UUID, *, status: Status, **columns: Any) -> None:
        self.rows[order_id] = replace(self.rows[order_id], status=status, **columns)
        self.states[order_id].append(status)

    def append(self, domain_events: Sequence[OrderEvent]) -> None:
        """Append to the journal the events that the service emits for these."""
        for event in events.journal_events(domain_events):
            told, was_confirmed = getattr(event.data, "told", False), getattr(event.data, "was_confirmed", False)
            self.journal.append(Emitted(event.type, UUID(event.subject), was_confirmed, told))

    def is_in_transaction(self) -> bool:
        return True

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
        table.rows[new.id] = new.as_placed(customer, table.now(), table.in_seconds(deadline_s))
        table.due_at[new.id] = table.in_seconds(lease_s)
        table.states[new.id] = [Status.PENDING]
        table.append([OrderPlaced(new, customer)])
        placed[new.id] = table.rows[new.id]
    return placed


async def by_ids(table: Table, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    return {order_id: table.rows[order_id] for order_id in order_ids if order_id in table.rows}


async def by_id(table: Table, order_id: UUID) -> Order | None:
    return (await by_ids(table, [order_id])).get(order_id)


async def by_key(table: Table, user_id: UUID, key: str) -> tuple[Order, bytes] | None:
    if (user_id, key) not in table.keys:
        return None
    order_id, fingerprint = table.keys[user_id, key]
    return table.rows[order_id], fingerprint


async def lock(table: Table, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    return await by_ids(table, order_ids)


async def confirm(table: Table, orders: Sequence[Order], domain_events: Sequence[OrderConfirmed]) -> dict[UUID, Order]:
    confirmed = {}
    for order, event in zip(orders, domain_events, strict=True):
        if table.with_status(order.id, Status.PENDING) and order.customer.id not in table.deleted:
            table.change(
                order.id,
                status=Status.CONFIRMED,
                lines=order.lines,
                currency=order.currency,
                total_minor=order.total_minor,
                confirmed_at=table.now(),
            )
            table.append([event])
            confirmed[order.id] = replace(order, confirmed_at=table.now())
    return confirmed


async def begin_compensation(table: Table, orders: Sequence[Order], *, lease_s: float) -> None:
    for order in orders:
        assert table.with_status(order.id, Status.PENDING), "the row is locked"
        table.due_at[order.id] = table.in_seconds(lease_s)
        table.change(order.id, status=Status.CANCELLING, reason=order.reason)


async def begin_compensation_of_users(table: Table, user_ids: Sequence[UUID], reason: Reason) -> None:
    for row in list(table.rows.values()):
        if row.customer.id in user_ids and row.status is Status.PENDING:
            table.due_at[row.id] = table.now()
            table.change(row.id, status=Status.CANCELLING, reason=reason)


async def end(table: Table, orders: Sequence[Order]) -> dict[UUID, Order]:
    for order in orders:
        row = table.rows[order.id]
        is_first_attempt = row.status is Status.PENDING and not row.attempts
        assert row.status is Status.CANCELLING or is_first_attempt, "the row is locked"
        table.change(order.id, status=order.status, reason=order.reason, ended_at=table.now())
    return {order.id: replace(order, ended_at=table.now()) for order in orders}


async def reread(table: Table, orders: Sequence[Order]) -> list[Order]:
    return [table.rows[order.id] for order in orders]


async def as_settled(table: Table, order: Order) -> Order:
    return table.rows[order.id]


async def defer(table: Table, deferrals: Sequence[tuple[UUID, float, str]]) -> None:
    for order_id, delay_s, _ in deferrals:
        if table.with_status(order_id, *UNFINISHED):
            table.due_at[order_id] = table.in_seconds(delay_s)
            table.deferred.add(order_id)


async def lease_due(table: Table, limit: int, *, lease_s: float) -> list[Order]:
    due = sorted(
        (due_at, order_id)
        for order_id, due_at in table.due_at.items()
        if table.with_status(order_id, *UNFINISHED) and due_at <= table.now()
    )
    for _, order_id in due[:limit]:
        table.due_at[order_id] = table.in_seconds(lease_s)
        table.rows[order_id] = replace(table.rows[order_id], attempts=table.rows[order_id].attempts + 1)
    return [table.rows[order_id] for _, order_id in due[:limit]]


async def backlog(table: Table) -> tuple[int, float]:
    ages = [(table.now() - row.created_at).total_seconds() for row in table.rows.values() if row.status in UNFINISHED]
    return len(ages), max(ages, default=0.0)


async def cancel(table: Table, order: Order) -> Order:
    assert table.with_status(order.id, Status.CONFIRMED), "the row is locked"
    table.change(order.id, status=Status.CANCELLED, reason=order.reason, ended_at=table.now())
    return replace(order, ended_at=table.now())


async def ship(table: Table, order: Order) -> None:
    assert table.with_status(order.id, Status.CONFIRMED), "the row is locked"
    table.change(order.id, status=Status.SHIPPED)
