"""Turns a batch of events into messages that wait to be sent. Nothing is sent here: that may take long, or fail.

What events say of people is noted first, so that a message in the same batch finds the address and the preferences.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context, envelope
from chassis.database import Connection
from chassis.envelope import Envelope
from notifications import letters, store_notifications, store_recipients
from notifications.letters import Letter, letter_for
from notifications.messages import EmailRequested, UserChanged, UserDeleted
from notifications.notification import Kind, Notification, Recipient, State, reason_not_to_send
from notifications.templates import Templates

TYPES = sorted({*letters.TYPES, "user.registered", "user.updated", "user.deleted"})
_log = structlog.get_logger()


class WriteNotifications:
    """The handler of the consumer."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        await _note_people(connection, events)
        asked = [(event, letter) for event in events if (letter := letter_for(event)) is not None]
        people = await store_recipients.read(connection, {letter.user_id for _, letter in asked if letter.user_id})
        notifications = [
            self._notification(event, letter, people.get(letter.user_id) if letter.user_id else None)
            for event, letter in asked
        ]
        written = await store_notifications.insert(connection, notifications)
        for notification in notifications:
            if notification.id in written and notification.state is not State.PENDING:  # The others tell when sent.
                with context.working_on(notification.correlation_id, notification.traceparent):
                    _log.info(
                        "notification suppressed",
                        kind=notification.kind,
                        order_id=None if notification.order_id is None else str(notification.order_id),
                        code=notification.code,
                    )

    def _notification(self, event: Envelope, letter: Letter, recipient: Recipient | None) -> Notification:
        suppressed = reason_not_to_send(letter.kind, recipient)
        toaddr = letter.toaddr or (recipient.email if recipient is not None else "")
        if isinstance(letter.data, EmailRequested):
            subject, body = letter.data.subject, letter.data.body
        else:
            subject, body = self._templates.write(letter.kind, letter.data)
        if recipient is not None and recipient.deleted:
            toaddr, body = "", ""  # What is personal is not kept of somebody who is gone.
        return Notification(
            # The id that POST /send has answered is the id of the message.
            id=letter.subject_key if letter.kind is Kind.EMAIL_REQUESTED else uuid7(),
            kind=letter.kind,
            subject_key=str(letter.subject_key),
            order_id=letter.order_id,
            user_id=letter.user_id,
            toaddr=toaddr,
            subject=subject,
            body=body,
            state=State.PENDING if suppressed is None else State.SUPPRESSED,
            code=suppressed,
            correlation_id=event.correlationid,
            traceparent=event.traceparent,
        )


async def _note_people(connection: Connection, events: Sequence[Envelope]) -> None:
    """Keep of each person what the newest of `events` says."""
    newest: dict[UUID, Recipient] = {}
    for event in events:
        recipient = _person_in(event)
        if recipient is not None:
            known = newest.get(recipient.user_id)
            if known is None or known.version < recipient.version:
                newest[recipient.user_id] = recipient
    await store_recipients.keep_newest(connection, list(newest.values()))
    deleted = [recipient.user_id for recipient in newest.values() if recipient.deleted]
    if deleted:
        await store_notifications.forget(connection, deleted)


def _person_in(event: Envelope) -> Recipient | None:
    if event.type in ("user.registered", "user.updated"):
        user = envelope.read(event, UserChanged)
        return Recipient(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            order_emails=user.preferences.order_emails,
            payment_emails=user.preferences.payment_emails,
            version=user.version,
        )
    if event.type == "user.deleted":
        gone = envelope.read(event, UserDeleted)
        return Recipient(
            user_id=gone.user_id,
            email="",
            name="",
            order_emails=False,
            payment_emails=False,
            version=gone.version,
            deleted=True,
        )
    return None
