"""The events of notifications: their data, and how each is built. They are appended to the journal with the change."""

from uuid import UUID

import msgspec

from chassis.messaging.journal import Event
from notifications.domain.notification import NotificationEnded, State

EMAIL_REQUESTED = "email.requested"
SENT = "notification.sent"
FAILED = "notification.failed"


class EmailRequested(msgspec.Struct, frozen=True):
    """email.requested. Notifications consumes it too: it becomes a notification like every other event."""

    message_id: UUID
    toaddr: str
    subject: str
    body: str
    requested_by: UUID


class NotificationEndedData(msgspec.Struct, frozen=True):
    """notification.sent and notification.failed. `code` is the reason of the failure."""

    notification_id: UUID
    order_id: UUID | None
    user_id: UUID | None
    kind: str
    toaddr: str
    code: str | None


def email_requested(data: EmailRequested) -> Event:
    return Event(type=EMAIL_REQUESTED, subject=str(data.message_id), data=data)


def notification_ended(event: NotificationEnded) -> Event:
    """With the correlation id and the trace of the event that the notification is about."""
    ended = event.notification
    return Event(
        type=SENT if ended.state is State.SENT else FAILED,
        subject=str(ended.id),
        data=NotificationEndedData(ended.id, ended.order_id, ended.user_id, ended.kind, ended.toaddr, ended.code),
        correlation_id=ended.correlation_id,
        traceparent=ended.traceparent,
    )
