"""Promise 9: the total is the sum of quantity x unit price, as reserved."""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.orders import Case

TOTAL_IS_SUM_OF_LINES = Rule(
    service="orders",
    says="the total is not the sum of its lines",
    things="totals",
    total="SELECT count(*) FROM orders WHERE confirmed_at IS NOT NULL",
    broken="""
        SELECT orders.id, format('%s, and the lines make %s', orders.total_minor, added.minor)
        FROM orders
        CROSS JOIN LATERAL (
            SELECT sum((line ->> 'quantity')::bigint * (line ->> 'unit_price_minor')::bigint) AS minor
            FROM jsonb_array_elements(orders.lines) AS line
        ) AS added
        WHERE orders.confirmed_at IS NOT NULL
          AND orders.total_minor IS DISTINCT FROM added.minor
    """,
)


def of_order(case: Case, findings: Findings) -> None:
    """Both sides keep their lines as jsonb, which writes the same content in the same way."""
    if case.order is None or not case.order["was_confirmed"]:
        return
    for reservation in case.reservations:
        if not reservation["is_empty"] and any(
            case.order[column] != reservation[column] for column in ("lines", "total_minor", "currency")
        ):
            findings.violated("the order is not what was reserved", case.id)


INVARIANT = Invariant(
    9, "total = the sum of quantity x unit price, as reserved", rules=(TOTAL_IS_SUM_OF_LINES,), of_order=of_order
)
