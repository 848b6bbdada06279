"""Handles consumed events: outcomes of orders, and deletions of accounts."""

from collections.abc import Sequence

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from payments.consumed_events import OrderEvent, UserDeleted
from payments.erase_payment_methods import erase_payment_methods
from payments.handle_order_events import OrderOutcome, handle_order_events

GROUP = "payments"
TYPES = ("order.confirmed", "order.cancelled", "user.deleted")


async def handle(connection: Connection, events: Sequence[Envelope]) -> None:
    """Apply a batch of events in the transaction of `connection`."""
    outcomes = [
        OrderOutcome(
            order_id=envelope.read(event, OrderEvent).order_id,
            is_confirmed=event.type == "order.confirmed",
            correlation_id=event.correlationid,
            traceparent=event.traceparent,
        )
        for event in events
        if event.type != "user.deleted"
    ]
    if outcomes:
        await handle_order_events(connection, outcomes)
    deleted = [envelope.read(event, UserDeleted).user_id for event in events if event.type == "user.deleted"]
    if deleted:
        await erase_payment_methods(connection, deleted)
