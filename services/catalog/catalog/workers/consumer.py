"""Consumes the events that end orders: the stock of a confirmed order is sold, that of a cancelled one is released."""

from collections.abc import Sequence

from catalog.consumed_events import OrderSettled
from catalog.domain.reservation import Settlement
from catalog.settle_reservations import SettlementRequest, settle_reservations
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection

_SETTLEMENTS = {"order.confirmed": Settlement.CONFIRMATION, "order.cancelled": Settlement.CANCELLATION}
TYPES = tuple(_SETTLEMENTS)


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    """Settle all orders of a batch of events, in the transaction of the inbox."""
    await settle_reservations(
        connection,
        [
            SettlementRequest(
                envelope.read(event, OrderSettled).order_id,
                _SETTLEMENTS[event.type],
                event.correlationid,
                event.traceparent,
            )
            for event in events
        ],
    )
