"""The table of ledger entries, which is append-only."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement
from payments.domain.ledger import Entry, check_balance

_ADD_ENTRIES = Statement("INSERT INTO ledger_entries (:entries.*) SELECT entries.* FROM :entries", entries=Entry)


async def add_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert the entries. A transaction that was added before violates the primary key."""
    check_balance(entries)
    await _ADD_ENTRIES.execute(connection, entries=entries)


_READ_ENTRIES = Statement(
    """
    SELECT position, transaction_id, ledger_entries.payment_id, account, ledger_entries.amount_minor,
           ledger_entries.currency, booked_at, coalesce(refunds.actor, payments.actor) AS actor
    FROM ledger_entries
    LEFT JOIN refunds ON refunds.id = transaction_id
    LEFT JOIN payments ON payments.id = transaction_id
    WHERE (:payment_id::uuid IS NULL OR ledger_entries.payment_id = :payment_id)
      AND (:before::bigint IS NULL OR position < :before)
    ORDER BY position DESC
    LIMIT :limit
    """
)


async def read_entries(connection: Connection, payment_id: UUID | None, before: int | None, limit: int) -> list[Row]:
    """Entries, the newest first."""
    return await _READ_ENTRIES.fetch(connection, payment_id=payment_id, before=before, limit=limit)


_READ_BALANCES = Statement(
    """
    SELECT account, currency, sum(amount_minor)::bigint AS balance_minor
    FROM ledger_entries
    GROUP BY account, currency
    ORDER BY account, currency
    """
)


async def read_balances(connection: Connection) -> list[Row]:
    """The sum of each account, per currency."""
    return await _READ_BALANCES.fetch(connection)
