"""Which event makes which message, to whom. An event that nobody has to be told of makes none."""

from collections.abc import Callable, Mapping
from uuid import UUID

import msgspec

from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from notifications.messages import (
    EmailRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderShipped,
    PaymentRefunded,
    UserChanged,
)
from notifications.notification import Amounts, Kind


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What an event makes us write. `data` is what the template gets.

    `toaddr` is there only where no account is written to: else the address is the account's own.
    """

    kind: Kind
    subject_key: UUID
    data: msgspec.Struct
    user_id: UUID | None = None
    order_id: UUID | None = None
    toaddr: str = ""
    amounts: Amounts | None = None


def letter_for(event: Envelope) -> Letter | None:
    """The letter that `event` asks for. Raises `msgspec.ValidationError` when its data has another shape."""
    write = _LETTERS.get(event.type)
    return None if write is None else write(event)


def _welcome(event: Envelope) -> Letter:
    user = envelope.read(event, UserChanged)
    return Letter(kind=Kind.WELCOME, subject_key=user.user_id, data=user, user_id=user.user_id)


def _order_confirmed(event: Envelope) -> Letter:
    order = envelope.read(event, OrderConfirmed)
    return _about_order(Kind.ORDER_CONFIRMED, order, Amounts(currency=order.total.currency, total=order.total.minor()))


def _order_cancelled(event: Envelope) -> Letter | None:
    order = envelope.read(event, OrderCancelled)
    return None if order.told else _about_order(Kind.ORDER_CANCELLED, order)


def _order_shipped(event: Envelope) -> Letter:
    return _about_order(Kind.ORDER_SHIPPED, envelope.read(event, OrderShipped))


def _about_order(
    kind: Kind, order: OrderConfirmed | OrderCancelled | OrderShipped, amounts: Amounts | None = None
) -> Letter:
    return Letter(
        kind=kind,
        subject_key=order.order_id,
        data=order,
        user_id=order.user_id,
        order_id=order.order_id,
        amounts=amounts,
    )


def _payment_refunded(event: Envelope) -> Letter:
    refund = envelope.read(event, PaymentRefunded)
    return Letter(
        kind=Kind.PAYMENT_REFUNDED,
        subject_key=refund.refund_id,
        data=refund,
        user_id=refund.user_id,
        order_id=refund.order_id,
        amounts=Amounts(currency=refund.amount.currency, refund=refund.amount.minor()),
    )


def _email_requested(event: Envelope) -> Letter:
    request = envelope.read(event, EmailRequested)
    return Letter(kind=Kind.EMAIL_REQUESTED, subject_key=request.message_id, data=request, toaddr=request.toaddr)


_LETTERS: Mapping[str, Callable[[Envelope], Letter | None]] = {
    "user.registered": _welcome,
    "order.confirmed": _order_confirmed,
    "order.cancelled": _order_cancelled,
    "order.shipped": _order_shipped,
    "payment.refunded": _payment_refunded,
    "email.requested": _email_requested,
}
TYPES = tuple(_LETTERS)
"""The events that may ask for a letter."""
