"""The bookkeeping rules: which entries a movement of money creates. Double entry: an error shows as a sum other than 0.

Amounts are signed, a debit is positive; the entries of one transaction sum to zero. An authorization moves no money
and creates no entries.

    provider_receivable   what the provider owes: captured - refunded, which equals the totals of confirmed orders
    sales                 what was captured; a credit, so negative
    refunds               what was refunded; kept apart from sales, so that both can be read
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

PROVIDER_RECEIVABLE = "provider_receivable"
SALES = "sales"
REFUNDS = "refunds"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction. `transaction_id` is the id of the captured payment, or that of the refund."""

    transaction_id: UUID
    payment_id: UUID
    account: str
    amount_minor: int
    currency: str


def entries_of_capture(payment_id: UUID, amount_minor: int, currency: str) -> tuple[Entry, Entry]:
    return (
        Entry(payment_id, payment_id, PROVIDER_RECEIVABLE, amount_minor, currency),
        Entry(payment_id, payment_id, SALES, -amount_minor, currency),
    )


def entries_of_refund(refund_id: UUID, payment_id: UUID, amount_minor: int, currency: str) -> tuple[Entry, Entry]:
    return (
        Entry(refund_id, payment_id, REFUNDS, amount_minor, currency),
        Entry(refund_id, payment_id, PROVIDER_RECEIVABLE, -amount_minor, currency),
    )


def check_balance(entries: Sequence[Entry]) -> None:
    """Assert that debits and credits are equal, before entries are written."""
    assert sum(entry.amount_minor for entry in entries) == 0, "every transaction sums to zero"
