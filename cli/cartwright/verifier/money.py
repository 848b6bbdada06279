"""Promise 4: captured - refunded = the totals of confirmed orders, order by order; and the ledger sums to zero.

Refunds that administrators gave for confirmed orders are what the two sides may differ by.
"""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.orders import Case
from cartwright.verifier.snapshots import Row

LEDGER_SUMS_TO_ZERO = Rule(
    service="payments",
    says="a transaction of the ledger does not sum to zero",
    things="ledger entries",
    total="SELECT count(*) FROM ledger_entries",
    broken="""
        SELECT transaction_id, format('%s %s', sum(amount_minor), currency)
        FROM ledger_entries
        GROUP BY transaction_id, currency
        HAVING sum(amount_minor) <> 0
    """,
)
# What moved money: the capture of a payment, under its id, and each refund, under its own.
LEDGER_IS_COMPLETE = Rule(
    service="payments",
    says="money that moved and money that was booked differ",
    things="captures and refunds",
    total="""
        SELECT (SELECT count(*) FROM payments WHERE state = 'captured')
             + (SELECT count(*) FROM refunds WHERE state = 'done')
    """,
    broken="""
        WITH moved AS (
            SELECT id, amount_minor, currency FROM payments WHERE state = 'captured' AND amount_minor <> 0
            UNION ALL
            SELECT id, -amount_minor, currency FROM refunds WHERE state = 'done'
        ), booked AS (
            SELECT transaction_id AS id, sum(amount_minor) AS amount_minor, currency
            FROM ledger_entries
            WHERE account = 'provider_receivable'
            GROUP BY transaction_id, currency
        )
        SELECT id, format('%s %s moved, %s %s booked', coalesce(moved.amount_minor, 0), moved.currency,
                          coalesce(booked.amount_minor, 0), booked.currency)
        FROM moved
        FULL JOIN booked USING (id)
        WHERE (moved.amount_minor, moved.currency) IS DISTINCT FROM (booked.amount_minor, booked.currency)
    """,
)
# A refund that is pending here may have been given there a moment ago.
PROVIDER_GAVE_THE_SAME = Rule(
    service="payments",
    says="the provider's refunds are others",
    things="refunds of the provider",
    total="SELECT count(*) FROM sandbox_refunds",
    broken="""
        SELECT coalesce(refunds.id, given.refund_id),
               format('%s %s here, %s there', coalesce(refunds.state, 'unknown'), refunds.amount_minor,
                      coalesce(given.amount_minor::text, 'unknown'))
        FROM refunds
        FULL JOIN sandbox_refunds AS given ON given.refund_id = refunds.id
        WHERE CASE coalesce(refunds.state, 'unknown')
                  WHEN 'done' THEN (given.payment_id, given.amount_minor) = (refunds.payment_id, refunds.amount_minor)
                  WHEN 'pending' THEN true
                  ELSE given.refund_id IS NULL
              END IS NOT TRUE
    """,
)
REFUNDS_ARE_COUNTED = Rule(
    service="payments",
    says="a payment's refunds are not those that were given for it",
    things="payments",
    total="SELECT count(*) FROM payments WHERE user_id IS NOT NULL",
    broken="""
        SELECT payments.id, format('%s counted, %s given', payments.refunded_minor, coalesce(given.minor, 0))
        FROM payments
        LEFT JOIN (
            SELECT payment_id, sum(amount_minor) AS minor
            FROM refunds
            WHERE state = 'done'
            GROUP BY payment_id
        ) AS given ON given.payment_id = payments.id
        WHERE payments.refunded_minor <> coalesce(given.minor, 0)
    """,
)


def of_order(case: Case, findings: Findings) -> None:
    """What came to nothing gives its money back: that is promise 5."""
    payments = [payment for payment in case.payments if payment["user_id"] is not None]
    captured = [payment for payment in payments if payment["state"] == "captured"]
    if case.order is None:
        if payments:
            findings.violated("a payment is for an order that never was", case.id, age_s=case.age_s)
    elif case.is_bought:
        _of_bought(case, captured, findings)
    elif captured and not case.came_to_nothing:
        findings.violated("money was taken before the order was confirmed", case.id)


def _of_bought(case: Case, captured: list[Row], findings: Findings) -> None:
    assert case.order is not None, "it was bought"
    total = {case.order["currency"]: case.order["total_minor"]}
    taken = {
        currency: sum(payment["amount_minor"] for payment in captured if payment["currency"] == currency)
        for currency in {payment["currency"] for payment in captured}
    }
    if not captured and any(payment["state"] in {"intended", "authorized"} for payment in case.payments):
        findings.violated("a confirmed order's money was not taken", case.id, age_s=case.age_s)
    elif taken != total:
        findings.violated("what was taken is not the total", case.id, f"{_told(taken)} taken, {_told(total)} due")
    elif any(payment["given_for_cancellation_minor"] for payment in captured):
        findings.violated("a confirmed order's money went back", case.id)


def _told(sums: dict[str, int]) -> str:
    return ", ".join(f"{minor} {currency}" for currency, minor in sorted(sums.items())) or "nothing"


INVARIANT = Invariant(
    4,
    "captured - refunded = the totals of confirmed orders; the ledger sums to zero",
    rules=(LEDGER_SUMS_TO_ZERO, LEDGER_IS_COMPLETE, PROVIDER_GAVE_THE_SAME, REFUNDS_ARE_COUNTED),
    of_order=of_order,
)
