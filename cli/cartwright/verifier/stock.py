"""Promise 3: nothing is oversold. Stock is conserved, never below zero, and what is held or sold is so for an order."""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.orders import Case

# Added up here from the rows, rather than read from catalog's own view of the balance.
STOCK_IS_CONSERVED = Rule(
    service="catalog",
    says="initial + restocked is not available + held + sold",
    things="products",
    total="SELECT count(*) FROM stock",
    broken="""
        WITH adjusted AS (
            SELECT product_id, sum(quantity) AS quantity
            FROM stock_adjustments
            GROUP BY product_id
        ), reserved AS (
            SELECT (line ->> 'product_id')::uuid AS product_id,
                   sum((line ->> 'quantity')::bigint) FILTER (WHERE state = 'held') AS held,
                   sum((line ->> 'quantity')::bigint) FILTER (WHERE state = 'sold') AS sold
            FROM reservations
            CROSS JOIN LATERAL jsonb_array_elements(lines) AS line
            WHERE state IN ('held', 'sold')
            GROUP BY 1
        ), balance AS (
            SELECT product_id,
                   coalesce(adjusted.quantity, 0) AS adjusted,
                   coalesce(stock.available, 0) AS available,
                   coalesce(reserved.held, 0) AS held,
                   coalesce(reserved.sold, 0) AS sold
            FROM stock
            FULL JOIN adjusted USING (product_id)
            FULL JOIN reserved USING (product_id)
        )
        SELECT product_id, format('%s is not %s + %s + %s', adjusted, available, held, sold)
        FROM balance
        WHERE adjusted <> available + held + sold
    """,
)
NOT_BELOW_ZERO = Rule(
    service="catalog",
    says="the stock is below zero",
    things="products",
    total="SELECT count(*) FROM stock",
    broken="SELECT product_id, format('%s available', available) FROM stock WHERE available < 0",
)


def of_order(case: Case, findings: Findings) -> None:
    """What came to nothing gives its stock back: that is promise 5."""
    state = case.reservations[0]["state"] if case.reservations else None
    if case.order is None and state in {"held", "sold"}:
        findings.violated("stock is taken for an order that never was", case.id, f"{state}", age_s=case.age_s)
    elif case.is_bought and state in {None, "released"}:
        findings.violated("an order was confirmed that has no stock", case.id, state or "no reservation")
    elif case.is_bought and state == "held":
        findings.violated("a confirmed order's stock is held, not sold", case.id, age_s=case.age_s)
    elif case.status in {"pending", "cancelling"} and state == "sold":
        findings.violated("stock was sold without a confirmation", case.id, case.status or "")


INVARIANT = Invariant(
    3, "stock is conserved, and never below zero", rules=(STOCK_IS_CONSERVED, NOT_BELOW_ZERO), of_order=of_order
)
