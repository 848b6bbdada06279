"""The state of the checkout's orders, as the saga runner uses it.

Here is decided who notifies the customer of an order that ends before its confirmation. A purchase request that still
waits reports a refusal in its answer. Every other end needs a notification, which follows order.cancelled.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from chassis.batching import Batcher
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from orders import events, store
from orders.domain.order import DEADLINE_PASSED, Order, OrderEvent, Reason, Status
from orders.waiters import Waiters


class OrderSagaStore:
    """A `saga.SagaStore`. `purchases` are the purchase requests of this process that wait for the end of an order."""

    def __init__(self, database: Database, purchases: Waiters, *, lease_s: float) -> None:
        self._database = database
        self._purchases = purchases
        self._lease_s = lease_s
        self._deferrals: Batcher[tuple[UUID, float, str], None] = Batcher("defer", self._defer_batch)

    async def begin_compensation(self, requests: Sequence[tuple[Order, Reason]]) -> Sequence[Order]:
        return await self._database.run(
            lambda connection: begin_compensation(connection, requests, lease_s=self._lease_s)
        )

    async def finish_compensation(self, requests: Sequence[tuple[Order, Reason | None]]) -> Sequence[Order]:
        return await self._database.run(lambda connection: self._finish(connection, requests))

    async def _finish(self, connection: Connection, requests: Sequence[tuple[Order, Reason | None]]) -> list[Order]:
        """End the orders of which nothing is left to undo, and restore the carts that they were bought from.

        The rows stay locked until the commit. A purchase that ceases to wait meanwhile reads its order after that
        commit (`store.orders.as_settled`), and so answers with the end: it needs no notification either.
        """
        current = await store.orders.lock(connection, [order.id for order, _ in requests])
        ended: list[Order] = []
        domain_events: list[OrderEvent] = []
        for requested, reason in requests:
            order = current[requested.id]
            if reason is not None and order.status is Status.PENDING and not order.attempts:
                order, order_events = order.refuse(reason, notify_customer=self._notify_customer(order, reason))
            elif reason is None and order.status is Status.CANCELLING:
                order, order_events = order.finish_compensation(
                    notify_customer=self._notify_customer(order, order.reason)
                )
            else:
                continue
            ended.append(order)
            domain_events += order_events
        current |= await store.checkout.end(connection, ended)
        await journal.append(connection, events.journal_events(domain_events))
        await store.carts.restore_items(connection, ended)
        return [current[order.id] for order, _ in requests]

    def _notify_customer(self, order: Order, reason: Reason | None) -> bool:
        assert reason is not None, "an order is compensated for a reason"
        return reason.ends_as is not Status.REFUSED or not self._purchases.has_waiter(order.id)

    async def defer(self, requests: Sequence[tuple[Order, float, str]]) -> None:
        for order, delay_s, detail in requests:
            await self._deferrals.submit((order.id, delay_s, detail))

    async def _defer_batch(self, deferrals: Sequence[tuple[UUID, float, str]]) -> Sequence[None]:
        await self._database.run_statement(lambda connection: store.checkout.defer(connection, deferrals))
        return [None] * len(deferrals)

    async def reread(self, subjects: Sequence[Order]) -> Sequence[Order]:
        return await self._database.read(lambda connection: store.orders.reread(connection, subjects))

    def is_compensating(self, subject: Order) -> bool:
        return subject.status is Status.CANCELLING

    def has_ended(self, subject: Order) -> bool:
        return subject.status.is_final_for_checkout

    def reason_to_compensate(self, subject: Order) -> Reason | None:
        return DEADLINE_PASSED if subject.is_past_deadline(datetime.now(UTC)) else None


async def begin_compensation(
    connection: Connection, requests: Sequence[tuple[Order, Reason]], *, lease_s: float
) -> list[Order]:
    """Begin the compensation of those orders that are still pending. Returns the current state of all."""
    current = await store.orders.lock(connection, [order.id for order, _ in requests])
    begun: list[Order] = []
    for requested, reason in requests:
        if current[requested.id].status is Status.PENDING:
            order, _ = current[requested.id].begin_compensation(reason)
            current[order.id] = order
            begun.append(order)
    await store.checkout.begin_compensation(connection, begun, lease_s=lease_s)
    return [current[order.id] for order, _ in requests]
