"""The SQL about what administrators asked to be sent."""

from uuid import UUID

import msgspec

from chassis.persistence.database import Connection


class EmailRequestKept(msgspec.Struct, frozen=True):
    message_id: UUID
    fingerprint: bytes


async def insert(
    connection: Connection, message_id: UUID, requested_by: UUID, idempotency_key: str | None, fingerprint: bytes
) -> bool:
    """Whether it was new: neither the message nor the key was there."""
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


async def read_by_key(connection: Connection, requested_by: UUID, idempotency_key: str) -> EmailRequestKept | None:
    row = await connection.fetchrow(
        """
        SELECT message_id, fingerprint
        FROM email_requests
        WHERE requested_by = $1 AND idempotency_key = $2
        """,
        requested_by,
        idempotency_key,
    )
    return None if row is None else EmailRequestKept(*row)
