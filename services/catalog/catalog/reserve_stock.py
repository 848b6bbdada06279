"""Reserves stock for a batch of orders: each gets all of its lines, or none and the reason.

Guarantee: the reserved quantity never exceeds the stock, and an order is reserved once, however often and from however
many replicas it is requested. This needs the lock on the order and the lock on the stock.
Test: tests/test_concurrent_reservations.py. Why Python decides the batch and not SQL: docs/decisions/0003.
"""

from collections.abc import Sequence
from uuid import UUID

from catalog.domain.reservation import Outcome, Reservation, ReservationRefusal, StockRequest, allocate
from catalog.store import reservations as store
from chassis.persistence.database import Connection, Database


async def reserve_stock(database: Database, requests: Sequence[StockRequest]) -> list[Outcome]:
    """One outcome for each of `requests`, in their order. An order that is reserved already gets the same outcome."""

    async def work(connection: Connection) -> list[Outcome]:
        return await _reserve(connection, requests)

    return await database.run(work)


async def _reserve(connection: Connection, requests: Sequence[StockRequest]) -> list[Outcome]:
    order_ids = {request.order_id for request in requests}
    await store.lock_orders(connection, order_ids)
    # Read after the lock: the transaction that held it before may have reserved or released the same order.
    known = await store.read_reservations(connection, order_ids)
    new: dict[UUID, StockRequest] = {}
    for request in requests:
        if request.order_id not in known:
            new.setdefault(request.order_id, request)
    product_ids = {line.product_id for request in new.values() for line in request.lines}
    stock = await store.lock_stock(connection, product_ids)
    allocation = allocate(list(new.values()), stock)
    reservations = [outcome for outcome in allocation.outcomes if isinstance(outcome, Reservation)]
    await store.hold_stock(connection, reservations, allocation.quantities)
    outcomes = {order_id: _known_outcome(reservation) for order_id, reservation in known.items()}
    outcomes |= zip(new, allocation.outcomes, strict=True)
    return [outcomes[request.order_id] for request in requests]


def _known_outcome(reservation: Reservation) -> Outcome:
    if reservation.state == "released":
        return ReservationRefusal("released", "The reservation of this order was released before.")
    return reservation
