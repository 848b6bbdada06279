"""Cancels an order: one that is on its way turns round and is undone; a confirmed one is taken back by its event."""

from dataclasses import replace
from uuid import UUID

import structlog

from chassis import context
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database
from chassis.security.tokens import Caller
from chassis.web.operations import operator_acted
from orders import store
from orders.checkout import CheckoutRunner
from orders.domain.order import CANCELLED_BY_CUSTOMER, CANCELLED_BY_OPERATOR, Order, Reason, Status
from orders.errors import OrderNotFound, OrderRefused, OrderShipped
from orders.waiters import Waiting

_log = structlog.get_logger()


class OrderCanceller:
    """The use case, with what it needs."""

    def __init__(
        self,
        database: Database,
        runner: CheckoutRunner,
        waiting: Waiting,
        relay: Relay,
        *,
        lease_s: float,
    ) -> None:
        self._database = database
        self._runner = runner
        self._waiting = waiting
        self._relay = relay
        self._lease_s = lease_s

    async def cancel(self, user_id: UUID, order_id: UUID) -> Order:
        """Cancel, and wait for the end, as long as `waiting` does; it may be cancelling then. The same again is fine.

        Raises `OrderNotFound` (also for another user's), `OrderShipped` or `OrderRefused`.
        """
        found = await self._database.read(lambda connection: store.orders.by_id(connection, order_id))
        if found is None or found.customer.id != user_id:
            raise OrderNotFound
        return await self._cancel(found, CANCELLED_BY_CUSTOMER)

    async def cancel_for_operator(self, order_id: UUID, operator: Caller, why: str) -> Order:
        """The same for any order, by somebody who gives a reason, which the record keeps."""
        found = await self._database.read(lambda connection: store.orders.by_id(connection, order_id))
        if found is None:
            raise OrderNotFound
        act = operator_acted("cancel order", str(order_id), operator, why, correlation_id=found.correlation_id)
        return await self._cancel(found, CANCELLED_BY_OPERATOR, act)

    async def _cancel(self, found: Order, reason: Reason, act: Event | None = None) -> Order:
        reason = replace(reason, actor=context.actor())
        order = await self._database.run(lambda connection: self._take_back(connection, found, reason, act))
        self._relay.wake()
        if order.status is Status.CANCELLING:
            order = await self._undo(order)
        if order.status is Status.SHIPPED:
            raise OrderShipped
        if order.status is Status.REFUSED:
            raise OrderRefused
        _log.info("order cancelled", order_id=str(order.id), status=order.status.value)
        return order

    async def _take_back(self, connection: Connection, found: Order, reason: Reason, act: Event | None) -> Order:
        (before,) = await store.orders.reread(connection, [found])
        (order,) = await store.checkout.turn_round(connection, [(before, reason)], lease_s=self._lease_s)
        if order.status is Status.CONFIRMED:
            order = await store.orders.cancel_confirmed(connection, order, reason)
        if act is not None and order.status is not before.status:
            await journal.append(connection, [act])
        return order

    async def _undo(self, order: Order) -> Order:
        self._runner.start(order)
        ended = await self._waiting.end_of(order.id)
        if ended is not None:
            return ended
        (order,) = await self._database.read(lambda connection: store.orders.reread(connection, [order]))
        return order
