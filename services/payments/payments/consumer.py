"""Turns events of orders into what `heed_orders` takes."""

from collections.abc import Sequence

from chassis import envelope
from chassis.database import Connection
from chassis.envelope import Envelope
from payments.heed_orders import OrderOutcome, heed_orders
from payments.messages import OrderEnded

GROUP = "payments"
TYPES = ("order.confirmed", "order.cancelled")


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    await heed_orders(
        connection,
        [
            OrderOutcome(
                order_id=envelope.read(event, OrderEnded).order_id,
                is_confirmed=event.type == "order.confirmed",
                correlation_id=event.correlationid,
                traceparent=event.traceparent,
            )
            for event in events
        ],
    )
