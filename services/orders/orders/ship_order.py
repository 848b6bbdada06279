"""Marks a confirmed order as shipped. It cannot be cancelled from then on."""

from uuid import UUID

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from orders import events, store
from orders.domain.order import Order, Status
from orders.errors import OrderNotConfirmed, OrderNotFound


async def ship_order(database: Database, order_id: UUID) -> Order:
    """Idempotent. Raises `OrderNotFound` or `OrderNotConfirmed`."""

    async def ship(connection: Connection) -> Order:
        order = (await store.orders.lock(connection, [order_id])).get(order_id)
        if order is None:
            raise OrderNotFound
        if order.status is not Status.CONFIRMED:
            return order
        order, domain_events = order.ship()
        await store.orders.ship(connection, order)
        await journal.append(connection, events.journal_events(domain_events))
        return order

    order = await database.run(ship)
    if order.status is not Status.SHIPPED:
        raise OrderNotConfirmed(f"The order is {order.status.value}, not confirmed.")
    return order
