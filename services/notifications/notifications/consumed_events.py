"""The events of other services that notifications consumes, with the data that it reads."""

from uuid import UUID

import msgspec

from chassis.values.money import Money


class Preferences(msgspec.Struct, frozen=True):
    order_emails: bool
    payment_emails: bool


class UserChanged(msgspec.Struct, frozen=True):
    """user.registered and user.updated."""

    user_id: UUID
    email: str
    name: str
    preferences: Preferences
    version: int


class UserDeleted(msgspec.Struct, frozen=True):
    user_id: UUID
    version: int


class OrderLine(msgspec.Struct, frozen=True):
    name: str
    quantity: int
    unit_price: Money
    line_total: Money


class OrderConfirmed(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    name: str
    items: list[OrderLine]
    total: Money


class Reason(msgspec.Struct, frozen=True):
    code: str
    detail: str


class OrderCancelled(msgspec.Struct, frozen=True):
    """`told`: the answer to the purchase has already reported the cancellation to the buyer."""

    order_id: UUID
    user_id: UUID
    name: str
    was_confirmed: bool
    told: bool
    reason: Reason
    total: Money | None


class OrderShipped(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    name: str


class PaymentRefunded(msgspec.Struct, frozen=True):
    order_id: UUID
    user_id: UUID
    refund_id: UUID
    amount: Money
    reason: str
