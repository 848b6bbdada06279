"""The mails that administrators requested, by message id and by idempotency key."""

from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement


@dataclass(frozen=True, slots=True)
class StoredEmailRequest:
    message_id: UUID
    fingerprint: bytes


_INSERT = Statement(
    """
    INSERT INTO email_requests (message_id, requested_by, idempotency_key, fingerprint)
    VALUES (:message_id, :requested_by, :idempotency_key, :fingerprint)
    ON CONFLICT DO NOTHING
    RETURNING message_id
    """
)


async def insert(
    connection: Connection, message_id: UUID, requested_by: UUID, idempotency_key: str | None, fingerprint: bytes
) -> bool:
    """Whether it was inserted: neither the message id nor the key existed."""
    row = await _INSERT.fetchrow(
        connection,
        message_id=message_id,
        requested_by=requested_by,
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
    )
    return row is not None


_READ_BY_KEY = Statement(
    """
    SELECT message_id, fingerprint
    FROM email_requests
    WHERE requested_by = :requested_by AND idempotency_key = :idempotency_key
    """
)


async def read_by_key(connection: Connection, requested_by: UUID, idempotency_key: str) -> StoredEmailRequest | None:
    row = await _READ_BY_KEY.fetchrow(connection, requested_by=requested_by, idempotency_key=idempotency_key)
    return None if row is None else StoredEmailRequest(*row)
