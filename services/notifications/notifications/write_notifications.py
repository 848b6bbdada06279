"""Writes the notifications for a batch of events. The mail sender sends them later: that may take long, or fail.

The recipients are updated first, so a notification in the same batch gets the address and the preferences.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from notifications import drafts, update_recipients
from notifications.consumed_events import OrderCancelled
from notifications.domain.notification import Kind, Notification, State
from notifications.domain.recipient import Recipient, suppression_code
from notifications.drafts import NotificationDraft, draft_for
from notifications.events import EmailRequested
from notifications.store import notifications, recipients
from notifications.templates import Templates
from notifications.update_recipients import AddressChange

TYPES = sorted({*drafts.TYPES, *update_recipients.TYPES})
_log = structlog.get_logger()


async def write_notifications(connection: Connection, events: Sequence[Envelope], *, templates: Templates) -> None:
    """In the transaction of the inbox."""
    changes = await update_recipients.update_recipients(connection, events)
    drafted = [(event, draft) for event in events if (draft := draft_for(event)) is not None]
    known = await _read_recipients(connection, [draft for _, draft in drafted])
    written = [
        _notification(event, draft, known.get(draft.user_id) if draft.user_id else None, templates)
        for event, draft in drafted
    ]
    written += [_address_changed(change, templates) for change in changes]
    new_ids = await notifications.insert(connection, written)
    _log_suppressed([notification for notification in written if notification.id in new_ids])


async def _read_recipients(connection: Connection, drafted: Sequence[NotificationDraft]) -> dict[UUID, Recipient]:
    """The known recipients. Those of suppressed notifications are locked.

    A claim drops the address of a pending notification to a deleted account. A suppressed one is never claimed, so only
    the deletion itself can drop its address. The lock makes the deletion wait for the commit of the notification.
    """
    known = await recipients.read(connection, {draft.user_id for draft in drafted if draft.user_id})
    suppressed = {
        draft.user_id
        for draft in drafted
        if draft.user_id and suppression_code(draft.kind, known.get(draft.user_id)) is not None
    }
    return known | await recipients.lock(connection, suppressed) if suppressed else known


def _notification(
    event: Envelope, draft: NotificationDraft, recipient: Recipient | None, templates: Templates
) -> Notification:
    code = suppression_code(draft.kind, recipient)
    toaddr = draft.toaddr or (recipient.email if recipient is not None else "")
    event_data = None
    if isinstance(draft.data, EmailRequested):
        subject, body = draft.data.subject, draft.data.body
    elif isinstance(draft.data, OrderCancelled):
        # `complete_cancellations` renders the text again with the final amounts when the mail is sent.
        subject, body = templates.render(draft.kind, draft.data, settlement=None)
        event_data = msgspec.json.encode(draft.data).decode()
    else:
        subject, body = templates.render(draft.kind, draft.data)
    if recipient is not None and recipient.deleted:
        # No personal data of a deleted account is stored.
        toaddr, body, event_data = "", "", None
    return Notification(
        # The id in the answer of POST /send is the id of the notification.
        id=draft.subject_key if draft.kind is Kind.EMAIL_REQUESTED else uuid7(),
        kind=draft.kind,
        subject_key=str(draft.subject_key),
        order_id=draft.order_id,
        user_id=draft.user_id,
        toaddr=toaddr,
        subject=subject,
        body=body,
        state=State.PENDING if code is None else State.SUPPRESSED,
        code=code,
        correlation_id=event.correlationid,
        traceparent=event.traceparent,
        event_data=event_data,
        amounts=draft.amounts,
    )


def _address_changed(change: AddressChange, templates: Templates) -> Notification:
    """To the former address: the owner of a stolen account learns of the change only there."""
    subject, body = templates.render(Kind.ADDRESS_CHANGED, None)
    return Notification(
        id=uuid7(),
        kind=Kind.ADDRESS_CHANGED,
        subject_key=f"{change.user_id}:{change.version}",
        order_id=None,
        user_id=change.user_id,
        toaddr=change.former_address,
        subject=subject,
        body=body,
        state=State.PENDING,
        code=None,
        correlation_id=change.correlation_id,
        traceparent=change.traceparent,
    )


def _log_suppressed(written: Sequence[Notification]) -> None:
    for notification in written:
        if notification.state is State.SUPPRESSED:
            with context.working_on(notification.correlation_id, notification.traceparent):
                _log.info(
                    "notification suppressed",
                    kind=notification.kind,
                    order_id=None if notification.order_id is None else str(notification.order_id),
                    code=notification.code,
                )
