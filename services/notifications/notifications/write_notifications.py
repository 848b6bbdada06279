"""Turns a batch of events into messages that wait to be sent. Nothing is sent here: that may take long, or fail.

What events say of people is noted first, so that a message in the same batch finds the address and the preferences.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from chassis.values import email_address
from notifications import letters, store_notifications, store_recipients
from notifications.letters import Letter, letter_for
from notifications.messages import EmailRequested, OrderCancelled, UserChanged, UserDeleted
from notifications.notification import Kind, Notification, Recipient, State, reason_not_to_send
from notifications.store_recipients import Replaced
from notifications.templates import Templates

TYPES = sorted({*letters.TYPES, "user.registered", "user.updated", "user.deleted"})
_log = structlog.get_logger()


class WriteNotifications:
    """The handler of the consumer."""

    def __init__(self, templates: Templates) -> None:
        self._templates = templates

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        moves = await _note_people(connection, events)
        asked = [(event, letter) for event in events if (letter := letter_for(event)) is not None]
        people = await store_recipients.read(connection, {letter.user_id for _, letter in asked if letter.user_id})
        notifications = [
            self._notification(event, letter, people.get(letter.user_id) if letter.user_id else None)
            for event, letter in asked
        ]
        notifications += [self._address_changed(move) for move in moves]
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
        event_data = None
        if isinstance(letter.data, EmailRequested):
            subject, body = letter.data.subject, letter.data.body
        elif isinstance(letter.data, OrderCancelled):
            # What became of the money is asked when the mail is sent (`complete_cancellations`).
            subject, body = self._templates.write(letter.kind, letter.data, settlement=None)
            event_data = msgspec.json.encode(letter.data).decode()
        else:
            subject, body = self._templates.write(letter.kind, letter.data)
        if recipient is not None and recipient.deleted:
            # Nothing personal is kept of an account that is deleted.
            toaddr, body, event_data = "", "", None
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
            event_data=event_data,
            amounts=letter.amounts,
        )

    def _address_changed(self, move: "_Move") -> Notification:
        """To the address before the change: who lost an account to a thief learns it there alone."""
        subject, body = self._templates.write(Kind.ADDRESS_CHANGED, move)
        return Notification(
            id=uuid7(),
            kind=Kind.ADDRESS_CHANGED,
            subject_key=f"{move.user_id}:{move.version}",
            order_id=None,
            user_id=move.user_id,
            toaddr=move.former_address,
            subject=subject,
            body=body,
            state=State.PENDING,
            code=None,
            correlation_id=move.correlation_id,
            traceparent=move.traceparent,
        )


class _Move(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an account's address."""

    user_id: UUID
    version: int
    former_address: str
    correlation_id: str
    traceparent: str | None


async def _note_people(connection: Connection, events: Sequence[Envelope]) -> list[_Move]:
    """Keep of each person what the newest of `events` says, and of a deleted account nothing.

    Answers the changes of addresses, in the order of their versions.
    """
    told: dict[UUID, list[tuple[Recipient, Envelope]]] = {}
    for event in events:
        if (recipient := _person_in(event)) is not None:
            told.setdefault(recipient.user_id, []).append((recipient, event))
    for of_person in told.values():
        of_person.sort(key=lambda pair: pair[0].version)
    replaced = await store_recipients.keep_newest(connection, [of_person[-1][0] for of_person in told.values()])
    moves: list[_Move] = []
    deleted: list[UUID] = []
    addresses: list[str] = []
    for user_id, before in replaced.items():
        if told[user_id][-1][0].deleted:
            deleted.append(user_id)
            addresses += [] if before is None else [before.email]
        else:
            moves += _moves(told[user_id], before)
    if deleted:
        await store_notifications.forget(connection, deleted, addresses)
    return moves


def _moves(told: Sequence[tuple[Recipient, Envelope]], before: Replaced | None) -> Iterator[_Move]:
    address = None if before is None else before.email
    for recipient, event in told:
        if before is not None and recipient.version <= before.version:
            continue
        if address is not None and not email_address.same_mailbox(address, recipient.email):
            yield _Move(
                user_id=recipient.user_id,
                version=recipient.version,
                former_address=address,
                correlation_id=event.correlationid,
                traceparent=event.traceparent,
            )
        address = recipient.email


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
