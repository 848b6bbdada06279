"""Hears what became of orders: the stock of a confirmed one is sold, that of a cancelled one goes back."""

from collections.abc import Sequence

from catalog.consumed_events import OrderSettled
from catalog.domain.reservation import Settlement
from catalog.settle_reservations import Settled, settle
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection

_SETTLEMENTS = {"order.confirmed": Settlement.CONFIRMATION, "order.cancelled": Settlement.CANCELLATION}
TYPES = tuple(_SETTLEMENTS)


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    """Settle all orders of the batch at once."""
    await settle(
        connection,
        [
            Settled(
                envelope.read(event, OrderSettled).order_id,
                _SETTLEMENTS[event.type],
                event.correlationid,
                event.traceparent,
            )
            for event in events
        ],
    )
