"""The request and response bodies. Unknown members of internal requests are ignored; those of public ones refused."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

from chassis.values.money import Money

ITEMS_MAX = 256
TEXT_CHARACTERS_MAX = 200
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]

# Internal calls of the orders service.


class AuthorizeItem(msgspec.Struct, frozen=True, kw_only=True):
    """An order to be paid. `payment_method` is a token, the id of a saved method, or null for the default."""

    order_id: UUID
    user_id: UUID
    amount: Money
    payment_method: Annotated[str, msgspec.Meta(max_length=200)] | None
    correlation_id: str
    traceparent: str | None


class AuthorizeBatch(msgspec.Struct, frozen=True):
    items: Annotated[list[AuthorizeItem], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class Authorized(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome", tag="authorized"):
    order_id: UUID
    payment_id: UUID


class Declined(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome", tag="declined"):
    """The provider declined."""

    order_id: UUID
    payment_id: UUID | None
    code: str
    detail: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome", tag="refused"):
    """Payments refused: the provider received no request, or its approval no longer counts."""

    order_id: UUID
    payment_id: UUID | None
    code: str
    detail: str


class NotKnownYet(msgspec.Struct, frozen=True, kw_only=True, tag_field="outcome", tag="unknown"):
    """The outcome is not known yet: repeat the request later."""

    order_id: UUID


Authorization: TypeAlias = Authorized | Declined | Refused | NotKnownYet


class AuthorizeAnswers(msgspec.Struct, frozen=True):
    items: list[Authorization]


class VoidItem(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    correlation_id: str
    traceparent: str | None


class VoidBatch(msgspec.Struct, frozen=True):
    items: Annotated[list[VoidItem], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]


class VoidAnswer(msgspec.Struct, frozen=True, kw_only=True):
    order_id: UUID
    outcome: Literal["voided", "unknown", "captured"]


class VoidAnswers(msgspec.Struct, frozen=True):
    items: list[VoidAnswer]


# The internal call of the notifications service.


class LookUpPayments(msgspec.Struct, frozen=True, kw_only=True):
    order_ids: Annotated[list[UUID], msgspec.Meta(max_length=ITEMS_MAX)]


class TakenAmounts(msgspec.Struct, frozen=True, kw_only=True):
    """The captured amount, the refunded part of it, and the part with a pending refund."""

    charged: Money
    refunded: Money
    refund_pending: Money


class PaymentNow(msgspec.Struct, frozen=True, kw_only=True):
    """The payment of an order. `taken` is null unless the state is `captured`."""

    order_id: UUID
    state: Literal["intended", "authorized", "declined", "voided", "captured"]
    taken: TakenAmounts | None


class PaymentsNow(msgspec.Struct, frozen=True):
    """Orders with neither a payment nor a void are left out."""

    items: list[PaymentNow]


# The public API.


class Card(msgspec.Struct, frozen=True):
    """The payment method of a payment."""

    token: str
    brand: str
    last4: str


class PaymentRead(msgspec.Struct, frozen=True, kw_only=True):
    """A payment. It is `pending` while the provider's answer is not known."""

    id: UUID
    order_id: UUID
    status: Literal["pending", "authorized", "declined", "voided", "captured", "partially_refunded", "refunded"]
    amount: Money
    refunded: Money
    payment_method: Card
    code: str | None
    created_at: datetime
    authorized_at: datetime | None
    captured_at: datetime | None
    voided_at: datetime | None


class NewPaymentMethod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A method to be saved. The first one is always the default."""

    token: Text
    label: Text | None = None
    default: bool = False


class PaymentMethod(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    token: str
    label: str | None
    brand: str
    last4: str
    default: bool
    created_at: datetime


class NewRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without an amount, all that can be refunded is refunded."""

    reason: Text
    amount: Money | None = None


class RefundRead(msgspec.Struct, frozen=True, kw_only=True):
    """`actor` requested it: `operator` (administrators also see `:<id>`) or `service:payments`."""

    id: UUID
    payment_id: UUID
    amount: Money
    reason: str
    actor: str | None
    status: Literal["pending", "done", "failed"]
    code: str | None
    created_at: datetime
    done_at: datetime | None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a transaction; a debit is positive. `actor` requested the capture or the refund."""

    transaction_id: UUID
    payment_id: UUID
    account: str
    amount: Money
    actor: str | None
    booked_at: datetime


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    balance: Money


class LedgerPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, the newest first, and the balance of each account over all entries."""

    items: list[LedgerEntry]
    next_cursor: str | None
    balances: list[Balance]
