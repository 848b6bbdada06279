"""Heeds what became of orders: a confirmed one is to be captured, a cancelled one to be given back.

Only the wish is written here, in the transaction of the inbox; `settle_payments` and `settle_refunds` fulfil it.
Events may come twice and in any order, also a cancellation before the payment: that leaves a tombstone.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import msgspec
import structlog

from chassis import context
from chassis.persistence.database import Connection
from payments import store
from payments.apply_changes import record_changes, tell
from payments.domain.payment import Change, Payment, cancelled, confirmed

_log = structlog.get_logger()


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an order, and in the course of which work."""

    order_id: UUID
    is_confirmed: bool
    correlation_id: str
    traceparent: str | None


async def heed_orders(connection: Connection, outcomes: Sequence[OrderOutcome]) -> None:
    """Write what each outcome makes wanted, in the order given."""
    cancelled_orders = {outcome.order_id: outcome.correlation_id for outcome in outcomes if not outcome.is_confirmed}
    if cancelled_orders:
        await store.payments.add_tombstones(connection, cancelled_orders)
    payments = await store.payments.lock_of_orders(connection, [outcome.order_id for outcome in outcomes])
    changes: dict[UUID, Change] = {}
    for outcome in outcomes:
        payment = payments.get(outcome.order_id)
        if payment is None:
            with context.working_on(outcome.correlation_id, outcome.traceparent):
                _log.error("an order was confirmed that has no payment", order_id=str(outcome.order_id))
            continue
        change = _heed(payment, outcome)
        if change.is_anomaly:
            tell([change])
        elif change.payment != payment:
            payments[outcome.order_id] = change.payment
            earlier_minor = changes[payment.id].refund_minor if payment.id in changes else 0
            changes[payment.id] = replace(change, refund_minor=earlier_minor + change.refund_minor)
    await record_changes(connection, list(changes.values()))


def _heed(payment: Payment, outcome: OrderOutcome) -> Change:
    change = confirmed(payment) if outcome.is_confirmed else cancelled(payment)
    if change.payment == payment:
        return change
    # What follows belongs to the work in which the order was confirmed or cancelled.
    told = replace(
        change.payment,
        correlation_id=outcome.correlation_id,
        traceparent=outcome.traceparent,
        actor=context.actor(),
    )
    return replace(change, payment=told)
