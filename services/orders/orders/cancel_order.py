"""Cancels an order. A pending order is compensated by the saga; a confirmed one by the consumers of order.cancelled."""

from dataclasses import replace
from uuid import UUID

import structlog

from chassis import context
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Database
from chassis.security.tokens import Caller
from chassis.web.operations import operator_acted
from orders import events, store
from orders.checkout import CheckoutRunner
from orders.domain.order import CANCELLED_BY_CUSTOMER, CANCELLED_BY_OPERATOR, Order, Reason, Status
from orders.errors import OrderAlreadyShipped, OrderNotFound, OrderRefused
from orders.saga_store import begin_compensation
from orders.waiters import Waiters

_log = structlog.get_logger()


async def cancel_order(
    database: Database, runner: CheckoutRunner, cancellations: Waiters, user_id: UUID, order_id: UUID, *, lease_s: float
) -> Order:
    """Cancel an order of this user, and wait for the end as long as `cancellations` does; it may be cancelling then.

    Idempotent. Raises `OrderNotFound` (also for an order of another user), `OrderAlreadyShipped` or `OrderRefused`.
    """
    found = await database.read(lambda connection: store.orders.by_id(connection, order_id))
    if found is None or found.customer.id != user_id:
        raise OrderNotFound
    return await _cancel(database, runner, cancellations, found, CANCELLED_BY_CUSTOMER, lease_s=lease_s)


async def cancel_order_for_operator(
    database: Database,
    runner: CheckoutRunner,
    cancellations: Waiters,
    order_id: UUID,
    operator: Caller,
    why: str,
    *,
    lease_s: float,
) -> Order:
    """Cancel any order. The journal keeps the operator and the reason that they give."""
    found = await database.read(lambda connection: store.orders.by_id(connection, order_id))
    if found is None:
        raise OrderNotFound
    act = operator_acted("cancel order", str(order_id), operator, why, correlation_id=found.correlation_id)
    return await _cancel(database, runner, cancellations, found, CANCELLED_BY_OPERATOR, act, lease_s=lease_s)


async def _cancel(
    database: Database,
    runner: CheckoutRunner,
    cancellations: Waiters,
    found: Order,
    reason: Reason,
    act: Event | None = None,
    *,
    lease_s: float,
) -> Order:
    reason = replace(reason, actor=context.actor())

    async def change(connection: Connection) -> Order:
        return await _change(connection, found, reason, act, lease_s=lease_s)

    order = await database.run(change)
    if order.status is Status.CANCELLING:
        order = await _wait_for_compensation(database, runner, cancellations, order)
    if order.status is Status.SHIPPED:
        raise OrderAlreadyShipped
    if order.status is Status.REFUSED:
        raise OrderRefused
    _log.info("order cancelled", order_id=str(order.id), status=order.status.value)
    return order


async def _change(connection: Connection, found: Order, reason: Reason, act: Event | None, *, lease_s: float) -> Order:
    (before,) = await store.orders.reread(connection, [found])
    (order,) = await begin_compensation(connection, [(before, reason)], lease_s=lease_s)
    if order.status is Status.CONFIRMED:
        cancelled, domain_events = order.cancel(reason)
        order = await store.orders.cancel(connection, cancelled)
        await journal.append(connection, events.journal_events(domain_events))
    if act is not None and order.status is not before.status:
        await journal.append(connection, [act])
    return order


async def _wait_for_compensation(
    database: Database, runner: CheckoutRunner, cancellations: Waiters, order: Order
) -> Order:
    runner.start(order)
    ended = await cancellations.wait_for_end(order.id)
    if ended is not None:
        return ended
    (order,) = await database.read(lambda connection: store.orders.reread(connection, [order]))
    return order
