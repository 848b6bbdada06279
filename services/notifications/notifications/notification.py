"""A notification itself: its kinds and states, who wants it, when it is tried again. No I/O."""

import random
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

ATTEMPTS_MAX = 16
_FIRST_DELAY_S = 2.0
_DELAY_S_MAX = 4 * 3600.0


class Kind(StrEnum):
    WELCOME = "welcome"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_SHIPPED = "order_shipped"
    PAYMENT_REFUNDED = "payment_refunded"
    ADDRESS_CHANGED = "address_changed"
    EMAIL_REQUESTED = "email_requested"


class State(StrEnum):
    """Each but `PENDING` is an end."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a person. `version` is the account's: an older one never replaces a newer."""

    user_id: UUID
    email: str
    name: str
    order_emails: bool
    payment_emails: bool
    version: int
    deleted: bool = False


class Amounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sums that a message states, in minor units of `currency`, which is None when they all are zero."""

    currency: str | None = None
    total: int | None = None
    """Of the order that is confirmed."""
    refund: int | None = None
    """The one refund that the message is about."""
    charged: int | None = None
    """For a cancelled order: what was taken, and the parts of it that were given back or are on their way back."""
    refunded: int | None = None
    refund_pending: int | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A message to a person. `subject_key` is what it is about: there is one for each kind and key.

    `toaddr` is empty until the address is known. `event_data` is there when the text is written at the time of sending;
    `body` is then what is sent if that cannot be done.
    """

    id: UUID
    kind: Kind
    subject_key: str
    order_id: UUID | None
    user_id: UUID | None
    toaddr: str
    subject: str
    body: str
    state: State
    code: str | None
    correlation_id: str
    traceparent: str | None
    attempts: int = 0
    created_at: datetime | None = None
    sent_at: datetime | None = None
    event_data: str | None = None
    amounts: Amounts | None = None


def reason_not_to_send(kind: Kind, recipient: Recipient | None) -> str | None:
    """Why `recipient` is not to get this kind, as a code; None when nothing speaks against it.

    Somebody whose preferences have not been heard of yet has not switched anything off.
    """
    if recipient is None or kind is Kind.EMAIL_REQUESTED:
        return None
    if recipient.deleted:
        return "recipient_deleted"
    if kind is Kind.PAYMENT_REFUNDED:
        wanted = recipient.payment_emails
    else:
        wanted = recipient.order_emails or kind in {Kind.WELCOME, Kind.ADDRESS_CHANGED}
    return None if wanted else "not_wanted"


def retry_delay_s(attempts: int) -> float:
    """The pause after so many failed attempts: 2 s, 8 s, 32 s, up to four hours; a day and a half in all.

    RFC 5321, 4.5.4.1 asks for patience. The jitter keeps what failed together from coming back together.
    """
    return float(min(_FIRST_DELAY_S * 4 ** (attempts - 1), _DELAY_S_MAX) * random.uniform(0.8, 1.2))  # noqa: S311
