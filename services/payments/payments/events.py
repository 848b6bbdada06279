"""The events that payments emits. Their contracts are in contracts/events; consumers copy the shapes that they need."""

from uuid import UUID

import msgspec

from chassis.messaging.journal import Event
from chassis.values.money import Money, money
from payments.domain.payment import Fact, Payment
from payments.domain.refund import Refund


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


def payment_changed(payment: Payment, fact: Fact) -> Event:
    assert payment.user_id is not None, "nothing happens to a tombstone"
    return Event(
        type=fact.value,
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


def payment_refunded(payment: Payment, refund: Refund) -> Event:
    assert payment.user_id is not None, "nothing is taken, and so nothing given back, for a tombstone"
    return Event(
        type="payment.refunded",
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
