"""Promise 5: an order that was cancelled or refused holds no stock and no money, and each was given back once."""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.orders import Case

# That stock is given back once shows in its balance: promise 3.
NOT_MORE_THAN_WAS_TAKEN = Rule(
    service="payments",
    says="more was given back than was taken",
    things="refunds of the provider",
    total="SELECT count(*) FROM sandbox_refunds",
    broken="""
        SELECT payments.id, format('%s of %s', given.minor, payments.amount_minor)
        FROM payments
        JOIN (
            SELECT payment_id, sum(amount_minor) AS minor
            FROM sandbox_refunds
            GROUP BY payment_id
        ) AS given ON given.payment_id = payments.id
        WHERE given.minor > payments.amount_minor
    """,
)


def of_order(case: Case, findings: Findings) -> None:
    if not case.came_to_nothing:
        return
    for reservation in case.reservations:
        if reservation["state"] != "released":
            findings.violated("it still holds stock", case.id, reservation["state"], age_s=case.age_s)
    for payment in case.payments:
        if payment["state"] in {"intended", "authorized"}:
            findings.violated("it still holds money", case.id, f"payment {payment['id']}", age_s=case.age_s)
        elif payment["state"] == "captured" and payment["given_back_minor"] < payment["amount_minor"]:
            detail = f"{payment['given_back_minor']} of {payment['amount_minor']} {payment['currency']}"
            findings.violated("its money was not given back", case.id, detail, age_s=case.age_s)


INVARIANT = Invariant(
    5, "cancelled and refused orders hold no stock and no money", rules=(NOT_MORE_THAN_WAS_TAKEN,), of_order=of_order
)
