"""A recipient: the address and the preferences of an account, as users last reported them."""

from dataclasses import dataclass
from uuid import UUID

from notifications.domain.notification import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """`version` is the version of the account. An older version never replaces a newer one."""

    user_id: UUID
    email: str
    name: str
    order_emails: bool
    payment_emails: bool
    version: int
    deleted: bool = False


def suppression_code(kind: Kind, recipient: Recipient | None) -> str | None:
    """The code of the reason why `recipient` must not get this kind, or None.

    A recipient whose preferences are not known yet has switched nothing off.
    """
    if recipient is None or kind is Kind.EMAIL_REQUESTED:
        return None
    if recipient.deleted:
        return "recipient_deleted"
    if kind is Kind.PAYMENT_REFUNDED:
        is_wanted = recipient.payment_emails
    else:
        is_wanted = recipient.order_emails or kind in {Kind.WELCOME, Kind.ADDRESS_CHANGED}
    return None if is_wanted else "not_wanted"
