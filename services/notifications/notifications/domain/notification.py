"""A notification: its kinds, its states and transitions, and the delays between attempts to send it.

A notification is `pending` until it is `sent`, `failed` or `suppressed`. No transition leaves these three states.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

ATTEMPTS_MAX = 16
_FIRST_DELAY_S = 2.0
_DELAY_MAX_S = 4 * 3600.0


class Kind(StrEnum):
    WELCOME = "welcome"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_SHIPPED = "order_shipped"
    PAYMENT_REFUNDED = "payment_refunded"
    ADDRESS_CHANGED = "address_changed"
    EMAIL_REQUESTED = "email_requested"


class State(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The sums that a message states, in minor units of `currency`. The currency is None when all of them are zero."""

    currency: str | None = None
    total: int | None = None
    """The total of a confirmed order."""
    refund: int | None = None
    """The amount of the refund that the message is about."""
    charged: int | None = None
    """For a cancelled order: the captured amount, and the parts of it that are refunded or will be."""
    refunded: int | None = None
    refund_pending: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message to a person. There is one for each kind and `subject_key`, the id of the thing that it is about.

    `toaddr` is empty until the address is known. `event_data` is set for a message whose text is written when it is
    sent; `body` is then the text for the case that this is not possible.
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

    def succeed(self) -> "NotificationEnded":
        """The mail server has accepted the mail."""
        return self._end(State.SENT, None)

    def fail(self, code: str) -> "NotificationEnded":
        """The mail cannot be delivered, or all attempts have failed."""
        return self._end(State.FAILED, code)

    def _end(self, state: State, code: str | None) -> "NotificationEnded":
        assert self.state is State.PENDING, "only a pending notification is claimed"
        return NotificationEnded(replace(self, state=state, code=code))

    def is_last_attempt(self) -> bool:
        return self.attempts >= ATTEMPTS_MAX


@dataclass(frozen=True, slots=True)
class NotificationEnded:
    """The domain event: the notification is sent or has failed."""

    notification: Notification


def retry_delay_s(attempts: int) -> float:
    """The delay after `attempts` failed attempts: 2 s, 8 s, 32 s, up to four hours; a day and a half in all.

    RFC 5321, 4.5.4.1 requires a retry over days. The jitter spreads the mails that failed at the same time.
    """
    return float(min(_FIRST_DELAY_S * 4 ** (attempts - 1), _DELAY_MAX_S) * random.uniform(0.8, 1.2))  # noqa: S311
