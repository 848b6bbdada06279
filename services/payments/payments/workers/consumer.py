"""Turns events of orders into what `heed_orders` takes, and deletions of accounts into erasures."""

from collections.abc import Sequence

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from payments.consumed_events import OrderEnded, UserDeleted
from payments.erase_users import erase_methods
from payments.handle_order_events import OrderOutcome, heed_orders

GROUP = "payments"
TYPES = ("order.confirmed", "order.cancelled", "user.deleted")


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    outcomes = [
        OrderOutcome(
            order_id=envelope.read(event, OrderEnded).order_id,
            is_confirmed=event.type == "order.confirmed",
            correlation_id=event.correlationid,
            traceparent=event.traceparent,
        )
        for event in events
        if event.type != "user.deleted"
    ]
    if outcomes:
        await heed_orders(connection, outcomes)
    deleted = [envelope.read(event, UserDeleted).user_id for event in events if event.type == "user.deleted"]
    if deleted:
        await erase_methods(connection, deleted)
