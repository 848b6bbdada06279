"""Handles confirmed and cancelled orders: a confirmed order is to be captured, a cancelled one voided or refunded.

Only the pending action is written here, in the transaction of the inbox; the settlers in `workers/` call the provider.
Events may arrive twice and in any order, even a cancellation before the payment, which leaves a tombstone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from chassis import context
from chassis.persistence.database import Connection
from payments import store
from payments.apply_changes import apply_changes, report_changes
from payments.domain.payment import Change

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOutcome:
    """An order that was confirmed or cancelled, and the trace of the event that reported it."""

    order_id: UUID
    is_confirmed: bool
    correlation_id: str
    traceparent: str | None


async def handle_order_events(connection: Connection, outcomes: Sequence[OrderOutcome]) -> None:
    """Write the pending action that each outcome requires, in the order given."""
    cancelled_orders = {outcome.order_id: outcome.correlation_id for outcome in outcomes if not outcome.is_confirmed}
    if cancelled_orders:
        await store.payments.add_tombstones(connection, cancelled_orders)
    payments = await store.payments.lock_by_orders(connection, [outcome.order_id for outcome in outcomes])
    changes: dict[UUID, Change] = {}
    for outcome in outcomes:
        payment = payments.get(outcome.order_id)
        if payment is None:
            with context.working_on(outcome.correlation_id, outcome.traceparent):
                _log.error("an order was confirmed that has no payment", order_id=str(outcome.order_id))
            continue
        change = payment.request_capture() if outcome.is_confirmed else payment.cancel()
        if change.is_anomaly:
            report_changes([change])
        elif change.has_effect:
            # The capture, the void or the refund that follows belongs to the trace of this event.
            change = change.caused_by(
                correlation_id=outcome.correlation_id, traceparent=outcome.traceparent, actor=context.actor()
            )
            payments[outcome.order_id] = change.payment
            changes[payment.id] = changes[payment.id].then(change) if payment.id in changes else change
    await apply_changes(connection, list(changes.values()))
