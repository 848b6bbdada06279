"""Settles the reservations of orders: sold when the order is confirmed, released when it is undone or cancelled.

Guarantee: the stock of an order is returned once at most, whatever settlements arrive, in whatever order.
Test: tests/test_stock_is_conserved.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from catalog.domain.reservation import Reservation, Settlement, is_oversold, released_quantities, settle
from catalog.store import reservations as store
from chassis import context
from chassis.persistence.database import Connection

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SettlementRequest:
    """The settlement of an order, with the correlation id and the trace of the work that causes it."""

    order_id: UUID
    settlement: Settlement
    correlation_id: str | None = None
    traceparent: str | None = None


async def settle_reservations(connection: Connection, requests: Sequence[SettlementRequest]) -> dict[UUID, Reservation]:
    """Apply `requests` in their order, in the transaction of `connection`. Answers the reservations after them."""
    order_ids = {request.order_id for request in requests}
    await store.lock_orders(connection, order_ids)
    before = await store.read_reservations(connection, order_ids)
    after = _settled(before, requests)
    changes = [reservation for order_id, reservation in after.items() if reservation is not before.get(order_id)]
    returned = released_quantities(before.values(), changes)
    if returned:
        await store.lock_stock(connection, returned)
        await store.return_stock(connection, returned)
    await store.update_reservations(connection, [change for change in changes if change.order_id in before])
    await store.insert_tombstones(connection, [change for change in changes if change.order_id not in before])
    return after


def _settled(before: dict[UUID, Reservation], requests: Sequence[SettlementRequest]) -> dict[UUID, Reservation]:
    after = dict(before)
    for request in requests:
        reservation = after.get(request.order_id)
        if is_oversold(reservation, request.settlement):
            with context.working_on(request.correlation_id, request.traceparent):
                _log.error("a confirmed order holds no stock", order_id=str(request.order_id))
        settled = settle(request.order_id, reservation, request.settlement)
        if settled is not None:
            after[request.order_id] = settled
    return after
