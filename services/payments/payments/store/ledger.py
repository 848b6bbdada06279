"""The table of ledger entries, which is append-only."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row
from payments.domain.ledger import Entry


def columns_of(entries: Sequence[Entry]) -> tuple[list[UUID], list[str], list[UUID], list[int], list[str]]:
    """The entries as the parameters of a statement, column by column."""
    assert sum(entry.amount_minor for entry in entries) == 0, "every transaction sums to zero"
    return (
        [entry.transaction_id for entry in entries],
        [entry.account for entry in entries],
        [entry.payment_id for entry in entries],
        [entry.amount_minor for entry in entries],
        [entry.currency for entry in entries],
    )


async def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert the entries. A transaction that was added before violates the primary key."""
    await connection.execute(
        """
        INSERT INTO ledger_entries (transaction_id, account, payment_id, amount_minor, currency)
        SELECT transaction_id, account, payment_id, amount_minor, currency
        FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[])
             AS entry (transaction_id, account, payment_id, amount_minor, currency)
        """,
        *columns_of(entries),
    )


async def read_entries(connection: Connection, payment_id: UUID | None, before: int | None, limit: int) -> list[Row]:
    """Entries, the newest first."""
    return await connection.fetch(
        """
        SELECT position, transaction_id, ledger_entries.payment_id, account, ledger_entries.amount_minor,
               ledger_entries.currency, booked_at, coalesce(refunds.actor, payments.actor) AS actor
        FROM ledger_entries
        LEFT JOIN refunds ON refunds.id = transaction_id
        LEFT JOIN payments ON payments.id = transaction_id
        WHERE ($1::uuid IS NULL OR ledger_entries.payment_id = $1)
          AND ($2::bigint IS NULL OR position < $2)
        ORDER BY position DESC
        LIMIT $3
        """,
        payment_id,
        before,
        limit,
    )


async def read_balances(connection: Connection) -> list[Row]:
    """The sum of each account, per currency."""
    return await connection.fetch(
        """
        SELECT account, currency, sum(amount_minor)::bigint AS balance_minor
        FROM ledger_entries
        GROUP BY account, currency
        ORDER BY account, currency
        """
    )
