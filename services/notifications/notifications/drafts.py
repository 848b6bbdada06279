"""The notification that each type of event requires. Most types require none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from notifications.consumed_events import (
    OrderCancelled,
    OrderConfirmed,
    OrderShipped,
    PaymentRefunded,
    UserChanged,
)
from notifications.domain.notification import Amounts, Kind
from notifications.events import EmailRequested


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDraft:
    """`data` holds the values of the template. `toaddr` is set only for a mail that is not to an account."""

    kind: Kind
    subject_key: UUID
    data: msgspec.Struct
    user_id: UUID | None = None
    order_id: UUID | None = None
    toaddr: str = ""
    amounts: Amounts | None = None


def draft_for(event: Envelope) -> NotificationDraft | None:
    """The draft for `event`. Raises `msgspec.ValidationError` when its data has another shape."""
    draft = _DRAFTS.get(event.type)
    return None if draft is None else draft(event)


def _welcome(event: Envelope) -> NotificationDraft:
    user = envelope.read(event, UserChanged)
    return NotificationDraft(kind=Kind.WELCOME, subject_key=user.user_id, data=user, user_id=user.user_id)


def _order_confirmed(event: Envelope) -> NotificationDraft:
    order = envelope.read(event, OrderConfirmed)
    return _about_order(Kind.ORDER_CONFIRMED, order, Amounts(currency=order.total.currency, total=order.total.minor()))


def _order_cancelled(event: Envelope) -> NotificationDraft | None:
    order = envelope.read(event, OrderCancelled)
    return None if order.told else _about_order(Kind.ORDER_CANCELLED, order)


def _order_shipped(event: Envelope) -> NotificationDraft:
    return _about_order(Kind.ORDER_SHIPPED, envelope.read(event, OrderShipped))


def _about_order(
    kind: Kind, order: OrderConfirmed | OrderCancelled | OrderShipped, amounts: Amounts | None = None
) -> NotificationDraft:
    return NotificationDraft(
        kind=kind,
        subject_key=order.order_id,
        data=order,
        user_id=order.user_id,
        order_id=order.order_id,
        amounts=amounts,
    )


def _payment_refunded(event: Envelope) -> NotificationDraft:
    refund = envelope.read(event, PaymentRefunded)
    return NotificationDraft(
        kind=Kind.PAYMENT_REFUNDED,
        subject_key=refund.refund_id,
        data=refund,
        user_id=refund.user_id,
        order_id=refund.order_id,
        amounts=Amounts(currency=refund.amount.currency, refund=refund.amount.minor()),
    )


def _email_requested(event: Envelope) -> NotificationDraft:
    request = envelope.read(event, EmailRequested)
    return NotificationDraft(
        kind=Kind.EMAIL_REQUESTED, subject_key=request.message_id, data=request, toaddr=request.toaddr
    )


_DRAFTS: Mapping[str, Callable[[Envelope], NotificationDraft | None]] = {
    "user.registered": _welcome,
    "order.confirmed": _order_confirmed,
    "order.cancelled": _order_cancelled,
    "order.shipped": _order_shipped,
    "payment.refunded": _payment_refunded,
    "email.requested": _email_requested,
}
TYPES = tuple(_DRAFTS)
"""The events that may require a notification."""
