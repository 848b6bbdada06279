"""The entries and the head of the chain. No statement changes or removes an entry."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.chain import Entry, Head, IndexFields
from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """An event matches when it has every given value, and its time is at or after `since` and before `until`."""

    correlation_id: str | None = None
    order_id: UUID | None = None
    type: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def lock_head(connection: Connection) -> Head:
    """The head. It stays locked until this transaction ends."""
    row = await connection.fetchrow("SELECT position, hash FROM chain_head FOR UPDATE")
    assert row is not None, "the first migration inserts this row"
    return Head(*row)


_MOVE_HEAD = Statement("UPDATE chain_head SET position = :position, hash = :hash")


async def move_head(connection: Connection, head: Head) -> None:
    await _MOVE_HEAD.execute(connection, position=head.position, hash=head.hash)


@dataclass(frozen=True, slots=True)
class _EntryRow:
    position: int
    event_id: UUID
    type: str
    source: str
    subject: str
    order_id: UUID | None
    correlation_id: str
    event_time: datetime
    actor: str | None
    envelope: str
    previous_hash: bytes
    hash: bytes


_INSERT = Statement("INSERT INTO entries (:entries.*) SELECT entries.* FROM :entries", entries=_EntryRow)


async def insert_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert all of them in one statement."""
    rows = [
        _EntryRow(
            position=entry.position,
            event_id=entry.index.event_id,
            type=entry.index.type,
            source=entry.index.source,
            subject=entry.index.subject,
            order_id=entry.index.order_id,
            correlation_id=entry.index.correlation_id,
            event_time=entry.index.event_time,
            actor=entry.index.actor,
            envelope=entry.envelope,
            previous_hash=entry.previous_hash,
            hash=entry.hash,
        )
        for entry in entries
    ]
    await _INSERT.execute(connection, entries=rows)


async def read_head(connection: Connection) -> Head:
    row = await connection.fetchrow("SELECT position, hash FROM chain_head")
    assert row is not None, "the first migration inserts this row"
    return Head(*row)


_READ_HEAD_AT = Statement("SELECT position, hash FROM entries WHERE position = :position")


async def read_head_at(connection: Connection, position: int) -> Head | None:
    """The head when `position` was recorded. None when there is no such entry."""
    row = await _READ_HEAD_AT.fetchrow(connection, position=position)
    return None if row is None else Head(*row)


_SELECT = """
    SELECT position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
           recorded_at, envelope, previous_hash, hash
    FROM entries
"""


_READ_ENTRIES_AFTER = Statement(f"{_SELECT} WHERE position > :position ORDER BY position LIMIT :limit")


async def read_entries_after(connection: Connection, position: int, limit: int) -> list[Entry]:
    """The next entries. Positions become visible in order, so none is missing among them."""
    rows = await _READ_ENTRIES_AFTER.fetch(connection, position=position, limit=limit)
    return [_entry(row) for row in rows]


_CONDITIONS = {
    "correlation_id": "correlation_id = :correlation_id",
    "order_id": "order_id = :order_id",
    "type": "type = :type",
    "actor": "actor = :actor",
    "since": "event_time >= :since",
    "until": "event_time < :until",
}
"""What each field of an `EventFilter` requires of an entry."""


async def search_entries(connection: Connection, event_filter: EventFilter, after: int, limit: int) -> list[Entry]:
    """Up to `limit` entries after the position `after` that match, oldest first."""
    given = {name: value for name, value in asdict(event_filter).items() if value is not None}
    conditions = ["position > :after", *(_CONDITIONS[name] for name in given)]
    # The limit is a literal, so that PostgreSQL plans for it.
    statement = Statement(f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY position LIMIT {limit:d}")
    return [_entry(row) for row in await statement.fetch(connection, after=after, **given)]


def _entry(row: Row) -> Entry:
    return Entry(
        position=row["position"],
        index=IndexFields(
            event_id=row["event_id"],
            type=row["type"],
            source=row["source"],
            subject=row["subject"],
            order_id=row["order_id"],
            correlation_id=row["correlation_id"],
            event_time=row["event_time"],
            actor=row["actor"],
        ),
        envelope=row["envelope"],
        previous_hash=row["previous_hash"],
        hash=row["hash"],
        recorded_at=row["recorded_at"],
    )


_READ_HASHES_AT = Statement("SELECT position, encode(hash, 'hex') FROM entries WHERE position = ANY (:positions)")


async def read_hashes_at(connection: Connection, positions: Sequence[int]) -> dict[int, str]:
    """The hexadecimal hash of each existing entry of `positions`."""
    return {row[0]: row[1] for row in await _READ_HASHES_AT.fetch(connection, positions=positions)}
