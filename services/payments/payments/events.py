"""The events that payments emits. Their contracts are in contracts/events; consumers copy the shapes that they need."""

from uuid import UUID

import msgspec

from chassis.messaging.journal import Event
from chassis.values.money import Money, money
from payments.domain.payment import Change, EventType, Payment
from payments.domain.refund import Refund, RefundChange


class PaymentChanged(msgspec.Struct, frozen=True, kw_only=True):
    """`payment.authorized`, `payment.declined`, `payment.captured` and `payment.voided`."""

    payment_id: UUID
    order_id: UUID
    user_id: UUID
    amount: Money
    code: str | None


class PaymentRefunded(msgspec.Struct, frozen=True, kw_only=True):
    """`payment.refunded`."""

    payment_id: UUID
    order_id: UUID
    user_id: UUID
    refund_id: UUID
    amount: Money
    reason: str


def events_of_change(change: Change) -> list[Event]:
    """The events of a payment's transition."""
    return [_payment_changed(change.payment, event_type) for event_type in change.events]


def events_of_refund_change(change: RefundChange) -> list[Event]:
    """The event of a refund's end; none when the provider refused."""
    return [] if change.event is None else [_payment_refunded(change.payment.payment, change.refund, change.event)]


def _payment_changed(payment: Payment, event_type: EventType) -> Event:
    assert payment.user_id is not None, "a tombstone has no transitions"
    return Event(
        type=event_type.value,
        subject=str(payment.id),
        data=PaymentChanged(
            payment_id=payment.id,
            order_id=payment.order_id,
            user_id=payment.user_id,
            amount=money(payment.amount_minor, payment.currency),
            code=payment.code,
        ),
        correlation_id=payment.correlation_id,
        traceparent=payment.traceparent,
        actor=payment.actor,
    )


def _payment_refunded(payment: Payment, refund: Refund, event_type: EventType) -> Event:
    assert payment.user_id is not None, "a tombstone has no refunds"
    return Event(
        type=event_type.value,
        subject=str(payment.id),
        data=PaymentRefunded(
            payment_id=payment.id,
            order_id=payment.order_id,
            user_id=payment.user_id,
            refund_id=refund.id,
            amount=money(refund.amount_minor, refund.currency),
            reason=refund.reason,
        ),
        correlation_id=refund.correlation_id,
        traceparent=refund.traceparent,
        actor=refund.actor,
    )
