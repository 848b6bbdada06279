"""The inbox: event ids are kept in the transaction of their effect, so that a second delivery has no second effect.

Guarantee: exactly one effect per event and consumer group, on any broker that delivers at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement

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


_TAKE_NEW = Statement("""
    INSERT INTO inbox (event_id)
    SELECT DISTINCT event_id FROM unnest(:event_ids::uuid[]) AS event (event_id)
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
""")


async def take_new(connection: Connection, event_ids: Sequence[UUID]) -> set[UUID]:
    """Note the ids as received and answer those that were not known before."""
    rows = await _TAKE_NEW.fetch(connection, event_ids=event_ids)
    return {row["event_id"] for row in rows}


@dataclass(frozen=True, slots=True)
class _DeadLetterRow:
    event_id: UUID
    type: str
    subject: str
    reason: str
    attempts: int
    envelope: str


_ADD_DEAD_LETTER = Statement(
    "INSERT INTO dead_letters (:letters.*) SELECT letters.* FROM :letters ON CONFLICT (event_id) DO NOTHING",
    letters=_DeadLetterRow,
)


async def dead_letter(connection: Connection, event: Envelope, body: bytes, *, reason: str, attempts: int) -> None:
    """Keep an event that failed for good as a dead letter, which an operator can read and redrive."""
    row = _DeadLetterRow(
        event_id=event.id,
        type=event.type,
        subject=event.subject,
        reason=reason,
        attempts=attempts,
        envelope=body.decode("utf-8", "replace"),
    )
    await _ADD_DEAD_LETTER.execute(connection, letters=[row])


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that failed for good, without its content."""

    event_id: UUID
    type: str
    subject: str
    reason: str
    attempts: int
    failed_at: datetime


_READ_DEAD_LETTERS = Statement("""
    SELECT event_id, type, subject, reason, attempts, failed_at
    FROM dead_letters
    WHERE :after::uuid IS NULL OR event_id > :after
    ORDER BY event_id
    LIMIT :limit
""")


async def read_dead_letters(connection: Connection, after: UUID | None, limit: int) -> list[DeadLetter]:
    """Ordered by the ids of the events, which is the order in which they were emitted."""
    rows = await _READ_DEAD_LETTERS.fetch(connection, after=after, limit=limit)
    return [DeadLetter(*row) for row in rows]


async def count_dead_letters(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM dead_letters"))


_TAKE_DEAD_LETTER = Statement("DELETE FROM dead_letters WHERE event_id = :event_id RETURNING envelope")


async def take_dead_letter(connection: Connection, event_id: UUID) -> bytes | None:
    """Remove a dead letter and answer its envelope. The removal is undone unless the transaction commits."""
    text = await _TAKE_DEAD_LETTER.fetchval(connection, event_id=event_id)
    return None if text is None else str(text).encode()
