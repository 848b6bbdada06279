"""The mails that administrators requested, by message id and by idempotency key."""

from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection


@dataclass(frozen=True, slots=True)
class StoredEmailRequest:
    message_id: UUID
    fingerprint: bytes


async def insert(
    connection: Connection, message_id: UUID, requested_by: UUID, idempotency_key: str | None, fingerprint: bytes
) -> bool:
    """Whether it was inserted: neither the message id nor the key existed."""
    row = await connection.fetchrow(
        """
        INSERT INTO email_requests (message_id, requested_by, idempotency_key, fingerprint)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        RETURNING message_id
        """,
        message_id,
        requested_by,
        idempotency_key,
        fingerprint,
    )
    return row is not None


async def read_by_key(connection: Connection, requested_by: UUID, idempotency_key: str) -> StoredEmailRequest | None:
    row = await connection.fetchrow(
        """
        SELECT message_id, fingerprint
        FROM email_requests
        WHERE requested_by = $1 AND idempotency_key = $2
        """,
        requested_by,
        idempotency_key,
    )
    return None if row is None else StoredEmailRequest(*row)
