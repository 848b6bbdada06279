"""The shapes that the notifications service reads and sends: events, requests, answers."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chassis.values.money import Money

SUBJECT_LENGTH_MAX = 998
BODY_BYTES_MAX = 32 * 1024


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
    """`told`: the buyer has read it in the answer to the purchase already."""

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


class EmailRequested(msgspec.Struct, frozen=True):
    message_id: UUID
    toaddr: str
    subject: str
    body: str
    requested_by: UUID


class NotificationEnded(msgspec.Struct, frozen=True):
    """notification.sent and notification.failed; `code` says why it failed."""

    notification_id: UUID
    order_id: UUID | None
    user_id: UUID | None
    kind: str
    toaddr: str
    code: str | None


class UsersAsked(msgspec.Struct, frozen=True):
    """POST /users/lookup."""

    ids: list[UUID]


class UserFound(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    email: str
    preferences: Preferences
    version: int


class UsersFound(msgspec.Struct, frozen=True):
    """Unknown and deleted ids are left out."""

    items: list[UserFound]


class PaymentsAsked(msgspec.Struct, frozen=True):
    """POST /payments/lookup."""

    order_ids: list[UUID]


class TakenAmounts(msgspec.Struct, frozen=True):
    charged: Money
    refunded: Money
    refund_pending: Money


class PaymentFound(msgspec.Struct, frozen=True):
    """`taken` is None unless the state is `captured`."""

    order_id: UUID
    state: Literal["intended", "authorized", "declined", "voided", "captured"]
    taken: TakenAmounts | None


class PaymentsFound(msgspec.Struct, frozen=True):
    """Orders of which payments has not heard are left out."""

    items: list[PaymentFound]


class EmailRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /send."""

    toaddr: Annotated[str, msgspec.Meta(min_length=3, max_length=254, examples=["ada@example.com"])]
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=SUBJECT_LENGTH_MAX)]
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=BODY_BYTES_MAX, description="Plain text, up to 32 KiB.")]


class EmailAccepted(msgspec.Struct, frozen=True):
    id: UUID
    status: str = "accepted"


class MessageToMe(msgspec.Struct, frozen=True, kw_only=True):
    """`toaddr` is empty while the address is being asked for."""

    id: UUID
    kind: str
    order_id: UUID | None
    toaddr: str
    subject: str
    status: str
    created_at: datetime
    sent_at: datetime | None
