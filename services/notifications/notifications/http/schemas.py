"""The requests and answers of notifications."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from notifications.domain.notification import Notification
from notifications.request_email import BODY_BYTES_MAX, SUBJECT_LENGTH_MAX


class EmailRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /send."""

    toaddr: Annotated[str, msgspec.Meta(min_length=3, max_length=254, examples=["ada@example.com"])]
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=SUBJECT_LENGTH_MAX)]
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=BODY_BYTES_MAX, description="Plain text, up to 32 KiB.")]


class EmailAccepted(msgspec.Struct, frozen=True):
    id: UUID
    status: str = "accepted"


class OwnMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to the caller. `toaddr` is empty until the address is known."""

    id: UUID
    kind: str
    order_id: UUID | None
    toaddr: str
    subject: str
    status: str
    created_at: datetime
    sent_at: datetime | None

    @staticmethod
    def of(notification: Notification) -> "OwnMessage":
        assert notification.created_at is not None, "it was read from the table"
        return OwnMessage(
            id=notification.id,
            kind=notification.kind,
            order_id=notification.order_id,
            toaddr=notification.toaddr,
            subject=notification.subject,
            status=notification.state,
            created_at=notification.created_at,
            sent_at=notification.sent_at,
        )
