"""The ledger's rules: what is booked when money moves. Double entry, so that a mistake shows as a sum that is not zero.

Amounts are signed, debit above zero; the entries of one transaction sum to zero. An authorization moves no money and
is not booked.

    provider_receivable   what the provider owes us: captured - refunded, which has to be the confirmed orders' totals
    sales                 what was captured; a credit, so below zero
    refunds               what was given back; kept apart from sales, so that both can be read
"""

from dataclasses import dataclass
from uuid import UUID

PROVIDER_RECEIVABLE = "provider_receivable"
SALES = "sales"
REFUNDS = "refunds"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction. `transaction_id` is what moved the money: the payment's id, or the refund's."""

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
