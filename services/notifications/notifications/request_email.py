"""Accepts a mail that an administrator wants sent: it is said as an event, which notifications and audit both hear."""

from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Database
from chassis.problems import KeyUsedAgain
from chassis.values import email_address, visible_text
from chassis.web import idempotency
from notifications import store_requests
from notifications.errors import BlankSubject, BodyTooLong, UndeliverableAddress
from notifications.messages import BODY_BYTES_MAX, SUBJECT_LENGTH_MAX, EmailRequest, EmailRequested

_log = structlog.get_logger()


async def request_email(
    database: Database, request: EmailRequest, *, requested_by: UUID, idempotency_key: str | None
) -> UUID:
    """The id of the message, the same for a repetition with the same key.

    Raises `UndeliverableAddress`, `BlankSubject`, `BodyTooLong`, `InvalidText` or `KeyUsedAgain`.
    """
    try:
        toaddr = str(email_address.parse(request.toaddr))
    except ValueError as error:
        raise UndeliverableAddress(str(error)) from None
    if not request.subject.strip():
        raise BlankSubject
    if len(request.body.encode()) > BODY_BYTES_MAX:
        raise BodyTooLong
    request = msgspec.structs.replace(
        request,
        toaddr=toaddr,
        subject=visible_text.line(request.subject, member="subject", characters_max=SUBJECT_LENGTH_MAX),
        body=visible_text.lines(request.body, member="body", characters_max=BODY_BYTES_MAX),
    )
    fingerprint = idempotency.fingerprint(request)
    message_id = uuid7()

    async def work(connection: Connection) -> UUID:
        if await store_requests.insert(connection, message_id, requested_by, idempotency_key, fingerprint):
            said = EmailRequested(message_id, request.toaddr, request.subject, request.body, requested_by)
            await journal.append(connection, [Event(type="email.requested", subject=str(message_id), data=said)])
            return message_id
        if idempotency_key is None:
            return message_id  # Committed before, and the answer to that was lost.
        kept = await store_requests.read_by_key(connection, requested_by, idempotency_key)
        assert kept is not None, "the key is why nothing was inserted, and requests are never removed"
        if kept.fingerprint != fingerprint:
            raise KeyUsedAgain
        return kept.message_id

    accepted = await database.run(work)
    _log.info("email requested", message_id=str(accepted), requested_by=str(requested_by))
    return accepted
