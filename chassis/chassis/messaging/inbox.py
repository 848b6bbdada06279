"""The inbox: event ids are kept in the transaction of their effect, so that a second delivery has no second effect.

Guarantee: exactly one effect per event and consumer group, on any broker that delivers at least once.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection

SCHEMA = """
CREATE TABLE inbox (
    event_id    uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dead_letters (
    event_id  uuid        PRIMARY KEY,
    type      text        NOT NULL,
    subject   text        NOT NULL,
    reason    text        NOT NULL,
    attempts  integer     NOT NULL,
    envelope  text        NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
"""
"""What the first migration of a service that listens holds, word for word (a test compares)."""


async def take_new(connection: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
    """Note the ids as received and answer those that were not known before."""
    rows = await connection.fetch(
        """
        INSERT INTO inbox (event_id)
        SELECT DISTINCT event_id FROM unnest($1::uuid[]) AS event (event_id)
        ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING event_id
        """,
        event_ids,
    )
    return {row["event_id"] for row in rows}


async def bury(connection: Connection, event: Envelope, body: bytes, *, reason: str, attempts: int) -> None:
    """Put an event that failed for good among the dead letters, where an operator can see and redrive it."""
    await connection.execute(
        """
        INSERT INTO dead_letters (event_id, type, subject, reason, attempts, envelope)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (event_id) DO NOTHING
        """,
        event.id,
        event.type,
        event.subject,
        reason,
        attempts,
        body.decode("utf-8", "replace"),
    )


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that failed for good, without its content."""

    event_id: UUID
    type: str
    subject: str
    reason: str
    attempts: int
    failed_at: datetime


async def read_dead_letters(connection: Connection, after: UUID | None, limit: int) -> list[DeadLetter]:
    """By the ids of the events, which is the order in which they were said."""
    rows = await connection.fetch(
        """
        SELECT event_id, type, subject, reason, attempts, failed_at
        FROM dead_letters
        WHERE $1::uuid IS NULL OR event_id > $1
        ORDER BY event_id
        LIMIT $2
        """,
        after,
        limit,
    )
    return [DeadLetter(*row) for row in rows]


async def count_dead_letters(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM dead_letters"))


async def take_dead_letter(connection: Connection, event_id: UUID) -> bytes | None:
    """Remove a dead letter and answer its envelope; the removal is undone unless what follows succeeds."""
    text = await connection.fetchval("DELETE FROM dead_letters WHERE event_id = $1 RETURNING envelope", event_id)
    return None if text is None else str(text).encode()
