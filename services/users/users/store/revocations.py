"""Reads revocations from the table `journal`.

A cursor is a PostgreSQL snapshot: the reader has everything that is visible in it. So no reader waits
for a long transaction, and one that commits late, with a lower number than others, is read after its commit.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from chassis.messaging import journal
from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement


class Entry(msgspec.Struct, frozen=True):
    """`data` is the JSON text of the event."""

    type: str
    time: datetime
    data: str


# The outer join returns the snapshot also when nothing is found. A snapshot holds the cluster's own transaction
# numbers, while the journal's may have an offset (chassis.messaging.restore_detection).
_READ = """
    SELECT pg_current_snapshot()::text, found.type, found.time, found.data
    FROM (VALUES (0)) AS always
    LEFT JOIN (
        SELECT type, time, data::text
        FROM journal
        WHERE type = ANY (:types)
          AND {}
        ORDER BY journal.transaction_id DESC, position DESC
        LIMIT :limit
    ) AS found ON true
"""
_READ_SINCE = Statement(_READ.format("(transaction_id, position) > (:transaction_id::text::xid8, :position::bigint)"))
_READ_AFTER = Statement(
    _READ.format("""
    transaction_id >= journal_number(pg_snapshot_xmin(:cursor::text::pg_snapshot))
    AND (transaction_id >= journal_number(pg_snapshot_xmax(:cursor::text::pg_snapshot))
         OR transaction_id IN (SELECT journal_number(running)
                               FROM pg_snapshot_xip(:cursor::text::pg_snapshot) AS running))
""")
)


async def read_since(
    connection: Connection, types: Sequence[str], since: datetime, limit: int
) -> tuple[str, list[Entry]]:
    """A cursor, and the newest entries of these types since `since`, with a few that are older."""
    transaction_id, position = await journal.end_before(connection, since)
    rows = await _READ_SINCE.fetch(
        connection, types=types, limit=limit, transaction_id=transaction_id, position=position
    )
    return _read(rows)


async def read_after(connection: Connection, types: Sequence[str], cursor: str, limit: int) -> tuple[str, list[Entry]]:
    """The next cursor, and the newest entries of these types that were committed after `cursor`."""
    return _read(await _READ_AFTER.fetch(connection, types=types, limit=limit, cursor=cursor))


def _read(rows: Sequence[Row]) -> tuple[str, list[Entry]]:
    return rows[0][0], [Entry(*row[1:]) for row in rows if row[1] is not None]
