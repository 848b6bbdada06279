"""The entries and the head of the chain. No statement changes or removes an entry."""

from collections.abc import Sequence
from dataclasses import dataclass
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


async def move_head(connection: Connection, head: Head) -> None:
    await connection.execute("UPDATE chain_head SET position = $1, hash = $2", head.position, head.hash)


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


async def read_head_at(connection: Connection, position: int) -> Head | None:
    """The head when `position` was recorded. None when there is no such entry."""
    row = await connection.fetchrow("SELECT position, hash FROM entries WHERE position = $1", position)
    return None if row is None else Head(*row)


_COLUMNS = """
    SELECT position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
           recorded_at, envelope, previous_hash, hash
    FROM entries
"""


async def read_entries_after(connection: Connection, position: int, limit: int) -> list[Entry]:
    """The next entries. Positions become visible in order, so none is missing among them."""
    rows = await connection.fetch(f"{_COLUMNS} WHERE position > $1 ORDER BY position LIMIT $2", position, limit)
    return [_entry(row) for row in rows]


async def search_entries(connection: Connection, event_filter: EventFilter, after: int, limit: int) -> list[Entry]:
    """Up to `limit` entries after the position `after` that match, oldest first."""
    conditions = ["position > $1"]
    values: list[object] = [after]
    for condition, value in (
        ("correlation_id =", event_filter.correlation_id),
        ("order_id =", event_filter.order_id),
        ("type =", event_filter.type),
        ("actor =", event_filter.actor),
        ("event_time >=", event_filter.since),
        ("event_time <", event_filter.until),
    ):
        if value is not None:
            values.append(value)
            conditions.append(f"{condition} ${len(values)}")
    rows = await connection.fetch(
        f"{_COLUMNS} WHERE {' AND '.join(conditions)} ORDER BY position LIMIT {limit:d}", *values
    )
    return [_entry(row) for row in rows]


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


async def read_hashes_at(connection: Connection, positions: Sequence[int]) -> dict[int, str]:
    """The hexadecimal hash of each existing entry of `positions`."""
    rows = await connection.fetch(
        "SELECT position, encode(hash, 'hex') FROM entries WHERE position = ANY($1::bigint[])", positions
    )
    return {row[0]: row[1] for row in rows}
