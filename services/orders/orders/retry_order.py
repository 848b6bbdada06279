"""Retries a pending or cancelling order at once, for an operator, whatever it waits for."""

from uuid import UUID

from chassis.persistence.database import Connection, Database
from chassis.security.tokens import Caller
from chassis.web.operations import operator_acted, tell_once
from orders import store
from orders.domain.order import Order
from orders.errors import OrderEnded, OrderNotFound


async def retry_order(database: Database, order_id: UUID, operator: Caller, why: str) -> Order:
    """Make the next attempt of the order due; a sweeper starts it. Raises `OrderNotFound` or `OrderEnded`."""

    async def work(connection: Connection) -> Order:
        order = await store.orders.by_id(connection, order_id)
        if order is None:
            raise OrderNotFound
        if not await store.stuck_orders.make_due(connection, order_id):
            raise OrderEnded(f"The order is {order.status.value}.")
        act = operator_acted("retry order", str(order_id), operator, why, correlation_id=order.correlation_id)
        await tell_once(connection, act)
        return order

    return await database.run(work)
