"""Accepts a mail that an administrator requests, as the event `email.requested`. Notifications and audit consume it."""

from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.values import email_address, visible_text
from chassis.web import idempotency
from notifications import events
from notifications.errors import BlankSubject, BodyTooLong, UndeliverableAddress
from notifications.events import EmailRequested
from notifications.store import email_requests

SUBJECT_LENGTH_MAX = 998
BODY_BYTES_MAX = 32 * 1024
_log = structlog.get_logger()


class Email(msgspec.Struct, frozen=True):
    toaddr: str
    subject: str
    body: str


async def request_email(database: Database, email: Email, *, requested_by: UUID, idempotency_key: str | None) -> UUID:
    """The id of the message. A repetition with the same key returns the same id.

    Raises `UndeliverableAddress`, `BlankSubject`, `BodyTooLong`, `InvalidText` or `KeyUsedAgain`.
    """
    email = _normalized(email)
    fingerprint = idempotency.fingerprint(email)
    message_id = uuid7()

    async def insert(connection: Connection) -> UUID:
        if await email_requests.insert(connection, message_id, requested_by, idempotency_key, fingerprint):
            data = EmailRequested(message_id, email.toaddr, email.subject, email.body, requested_by)
            await journal.append(connection, [events.email_requested(data)])
            return message_id
        if idempotency_key is None:
            return message_id  # It was committed before, and the answer to the COMMIT was lost.
        stored = await email_requests.read_by_key(connection, requested_by, idempotency_key)
        assert stored is not None, "the key prevented the insert, and requests are never removed"
        idempotency.check_same_request(stored.fingerprint, fingerprint)
        return stored.message_id

    accepted = await database.run(insert)
    _log.info("email requested", message_id=str(accepted), requested_by=str(requested_by))
    return accepted


def _normalized(email: Email) -> Email:
    try:
        toaddr = str(email_address.parse(email.toaddr))
    except ValueError as error:
        raise UndeliverableAddress(str(error)) from None
    if not email.subject.strip():
        raise BlankSubject
    if len(email.body.encode()) > BODY_BYTES_MAX:
        raise BodyTooLong
    return Email(
        toaddr=toaddr,
        subject=visible_text.line(email.subject, member="subject", characters_max=SUBJECT_LENGTH_MAX),
        body=visible_text.lines(email.body, member="body", characters_max=BODY_BYTES_MAX),
    )
