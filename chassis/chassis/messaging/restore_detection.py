"""A database that was restored from a dump: its journal goes on with numbers above those that it holds.

A dump keeps the numbers of transactions in the journal and in the relay's cursor, but the cluster that it is read into
counts its own from the beginning. What is said there would come before the cursor, and never leave. So from then on the
journal adds to each number of the cluster the highest that it held: `journal_number` does, and the column's default
goes by it. What was published stays so, what was not is published, in its order, and no row of the past changes.
"""

import msgspec
import structlog

from chassis.persistence.database import Connection, Database
from chassis.persistence.statements import Statement

_log = structlog.get_logger()


class _Counted(msgspec.Struct, frozen=True):
    """The last entry by its number, or the cursor where that is further; and how this cluster counts.

    `next` is the number that the next transaction will have, and `added` is what was added to the cluster's own.
    """

    transaction_id: int
    position: int
    next: int
    added: int

    @property
    def is_from_another_cluster(self) -> bool:
        # What can be seen here was committed, so that the cluster's own numbers have passed it.
        return self.transaction_id >= self.next


_COUNTED = """
    WITH known AS (
        SELECT transaction_id, position
        FROM journal_relay
        WHERE name = 'signed'
        UNION ALL
        (SELECT transaction_id, position FROM journal ORDER BY transaction_id DESC, position DESC LIMIT 1)
    )
    SELECT transaction_id::text::bigint, position,
           journal_number(pg_snapshot_xmax(pg_current_snapshot()))::text::bigint,
           journal_number('0')::text::bigint
    FROM known
    ORDER BY known.transaction_id DESC, known.position DESC
    LIMIT 1
"""

# Between the restore and this, replicas may have said something already, under numbers that are too low. Its positions
# tell it from what the dump held: they went on where they were.
_RAISE = Statement(
    """
    UPDATE journal
    SET transaction_id = (transaction_id::text::bigint + :added)::text::xid8
    WHERE position > :position
      AND transaction_id < :next::text::xid8
    """
)


async def go_on_counting(database: Database) -> None:
    """Once before a relay begins. Costs a look at two rows, unless the database was restored from a dump."""
    counted = await database.read(_read_counted)
    if counted.is_from_another_cluster and await database.run_as_owner(_add_to_numbers):
        _log.error(
            "the database was restored from a dump, and its journal goes on above the numbers that it came with",
            journal_number=counted.transaction_id,
            next_number_here=counted.next,
        )


async def _read_counted(connection: Connection) -> _Counted:
    row = await connection.fetchrow(_COUNTED)
    assert row is not None, "the first migration makes a row of journal_relay"
    return _Counted(*row)


async def _add_to_numbers(connection: Connection) -> bool:
    """Whether it was still to be done: several replicas may start at once."""
    # No transaction appends meanwhile, and none has appended something that is not committed.
    await connection.execute("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE")
    counted = await _read_counted(connection)
    if not counted.is_from_another_cluster:
        return False
    added = counted.transaction_id
    await _RAISE.execute(connection, added=added - counted.added, position=counted.position, next=str(counted.next))
    await connection.execute(
        f"""
        CREATE OR REPLACE FUNCTION journal_number(transaction_id xid8) RETURNS xid8 LANGUAGE sql STABLE
        AS 'SELECT ($1::text::bigint + {added})::text::xid8'
        """
    )
    await connection.execute(
        "ALTER TABLE journal ALTER COLUMN transaction_id SET DEFAULT journal_number(pg_current_xact_id())"
    )
    return True
