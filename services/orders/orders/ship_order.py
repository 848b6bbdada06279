"""Marks a confirmed order as shipped: from then on it cannot be cancelled."""

from uuid import UUID

from chassis.messaging.relay import Relay
from chassis.persistence.database import Connection, Database
from orders import store
from orders.domain.order import Order, Status
from orders.errors import OrderNotConfirmed, OrderNotFound


async def ship_order(database: Database, relay: Relay, order_id: UUID) -> Order:
    """Raises `OrderNotFound` or `OrderNotConfirmed`. The same again is fine."""

    async def ship(connection: Connection) -> Order:
        order = await store.orders.by_id(connection, order_id)
        if order is None:
            raise OrderNotFound
        return await store.orders.ship(connection, order)

    order = await database.run(ship)
    relay.wake()
    if order.status is not Status.SHIPPED:
        raise OrderNotConfirmed(f"The order is {order.status.value}, not confirmed.")
    return order
