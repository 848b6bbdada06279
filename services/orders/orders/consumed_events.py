"""The data of the events that this service consumes: copies of the producers' shapes, kept true by contract tests."""

from uuid import UUID

import msgspec

from chassis.values.money import Money


class UserChanged(msgspec.Struct, frozen=True):
    """Data of user.registered and user.updated."""

    user_id: UUID
    email: str
    name: str
    version: int


class UserDeleted(msgspec.Struct, frozen=True):
    user_id: UUID
    version: int


class PaymentEvent(msgspec.Struct, frozen=True):
    """As much as is needed of payment.voided and payment.refunded."""

    order_id: UUID
    amount: Money
