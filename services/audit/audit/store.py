"""Every SQL statement of audit. Nothing here changes or removes an entry."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from audit.chain import Entry, Head, Indexed
from chassis.persistence.database import Connection, Row


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for: all that is given has to fit. Times are those of the events; `until` is not included."""

    correlation_id: str | None = None
    order_id: UUID | None = None
    type: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def lock_head(connection: Connection) -> Head:
    """The end of the chain, kept from all others until this transaction ends."""
    row = await connection.fetchrow("SELECT position, hash FROM chain_head FOR UPDATE")
    assert row is not None, "the first migration makes this row"
    return Head(*row)


async def move_head(connection: Connection, head: Head) -> None:
    await connection.execute("UPDATE chain_head SET position = $1, hash = $2", head.position, head.hash)


async def insert_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add all of them in one statement."""
    await connection.execute(
        """
        INSERT INTO entries (position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
                             envelope, previous_hash, hash)
        SELECT position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
               envelope, previous_hash, hash
        FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[],
                    $8::timestamptz[], $9::text[], $10::text[], $11::bytea[], $12::bytea[])
             AS entry (position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
                       envelope, previous_hash, hash)
        """,
        [entry.position for entry in entries],
        [entry.indexed.event_id for entry in entries],
        [entry.indexed.type for entry in entries],
        [entry.indexed.source for entry in entries],
        [entry.indexed.subject for entry in entries],
        [entry.indexed.order_id for entry in entries],
        [entry.indexed.correlation_id for entry in entries],
        [entry.indexed.event_time for entry in entries],
        [entry.indexed.actor for entry in entries],
        [entry.envelope for entry in entries],
        [entry.previous_hash for entry in entries],
        [entry.hash for entry in entries],
    )


async def read_head(connection: Connection) -> Head:
    row = await connection.fetchrow("SELECT position, hash FROM chain_head")
    assert row is not None, "the first migration makes this row"
    return Head(*row)


async def read_head_at(connection: Connection, position: int) -> Head | None:
    """The chain's end as it was when `position` was written; None when there is no such entry."""
    row = await connection.fetchrow("SELECT position, hash FROM entries WHERE position = $1", position)
    return None if row is None else Head(*row)


_COLUMNS = """
    SELECT position, event_id, type, source, subject, order_id, correlation_id, event_time, actor,
           recorded_at, envelope, previous_hash, hash
    FROM entries
"""


async def read_entries_after(connection: Connection, position: int, limit: int) -> list[Entry]:
    """The next entries. None can still appear among them: positions become visible in their order."""
    rows = await connection.fetch(f"{_COLUMNS} WHERE position > $1 ORDER BY position LIMIT $2", position, limit)
    return [_entry(row) for row in rows]


async def search_entries(connection: Connection, search: Search, after: int, limit: int) -> list[Entry]:
    """Entries behind position `after` that fit, oldest first."""
    conditions = ["position > $1"]
    values: list[object] = [after]
    for condition, value in (
        ("correlation_id =", search.correlation_id),
        ("order_id =", search.order_id),
        ("type =", search.type),
        ("actor =", search.actor),
        ("event_time >=", search.since),
        ("event_time <", search.until),
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
        indexed=Indexed(
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


async def insert_statement(connection: Connection, position: int, statement: str) -> None:
    await connection.execute("INSERT INTO signed_heads (position, statement) VALUES ($1, $2)", position, statement)


async def read_latest_statement(connection: Connection) -> str | None:
    statement: str | None = await connection.fetchval("SELECT statement FROM signed_heads ORDER BY id DESC LIMIT 1")
    return statement


class KeptStatement(msgspec.Struct, frozen=True):
    """A signed head as it is kept; `statement` is the JWS."""

    id: int
    position: int
    statement: str


async def read_statements(connection: Connection, after: int, limit: int) -> list[KeptStatement]:
    """The signed heads behind the id `after`, oldest first."""
    rows = await connection.fetch(
        "SELECT id, position, statement FROM signed_heads WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [KeptStatement(*row) for row in rows]


async def read_hashes_at(connection: Connection, positions: Sequence[int]) -> dict[int, str]:
    """The hash of each of these entries that is there, hexadecimal."""
    rows = await connection.fetch(
        "SELECT position, encode(hash, 'hex') FROM entries WHERE position = ANY($1::bigint[])", positions
    )
    return {row[0]: row[1] for row in rows}
