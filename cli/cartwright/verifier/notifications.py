"""Promise 6: one notification per (order, kind), none forgotten, and each states the sums of the ledger.

Whether it was sent, failed for good or was not wanted by the buyer is told in the notification itself.
"""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.orders import Case
from cartwright.verifier.snapshots import Row

WRITTEN_ONCE = Rule(
    service="notifications",
    says="a notification was written twice",
    things="notifications",
    total="SELECT count(*) FROM notifications",
    broken="""
        SELECT subject_key, format('%s times %s', count(*), kind)
        FROM notifications
        GROUP BY kind, subject_key
        HAVING count(*) > 1
    """,
)
_ANOTHER_SUM = "a mail states another sum than the ledger"


def of_order(case: Case, findings: Findings) -> None:
    kinds = [letter["kind"] for letter in case.letters if letter["kind"].startswith("order_")]
    for kind in sorted(set(kinds)):
        if kinds.count(kind) > 1:
            findings.violated("a buyer was told twice", case.id, kind)
    for letter in case.letters:
        _check_amounts(case, letter, findings)
    if case.order is None:
        if kinds:
            findings.violated("a buyer was told of an order that never was", case.id, age_s=case.age_s)
        return
    if "order_confirmed" in kinds and not case.order["was_confirmed"]:
        findings.violated("a buyer was told of a confirmation that never was", case.id, age_s=case.age_s)
    if "order_confirmed" not in kinds and case.order["was_confirmed"]:
        findings.violated("a buyer was not told of the confirmation", case.id, age_s=case.age_s)
    # A refusal may have been told in the answer to the purchase itself.
    if "order_cancelled" not in kinds and case.status == "cancelled":
        findings.violated("a buyer was not told of the cancellation", case.id, age_s=case.age_s)


def _check_amounts(case: Case, letter: Row, findings: Findings) -> None:
    if letter["total_minor"] is not None and case.order is not None:
        _compare(case, "total", (case.order["total_minor"], case.order["currency"]), letter, findings)
    if letter["refund_minor"] is not None:
        stated = f"{letter['subject_key']} {letter['refund_minor']} {letter['currency']}"
        if not any(stated in payment["refunds"] for payment in case.payments):
            findings.violated(_ANOTHER_SUM, case.id, f"refund {stated}")
    if letter["charged_minor"] is not None:
        _check_cancellation(case, letter, findings)


def _check_cancellation(case: Case, letter: Row, findings: Findings) -> None:
    """What was refunded grows; what was charged does not, and all of it goes back."""
    captured = [payment for payment in case.payments if payment["state"] == "captured" and payment["amount_minor"]]
    charged = sum(payment["amount_minor"] for payment in captured)
    _compare(case, "charged", (charged, captured[0]["currency"] if captured else None), letter, findings)
    refunded = sum(payment["given_back_minor"] for payment in captured)
    if letter["refunded_minor"] > refunded:
        findings.violated(_ANOTHER_SUM, case.id, f"{letter['refunded_minor']} refunded, and not {refunded}")
    if letter["refunded_minor"] + letter["refund_pending_minor"] != letter["charged_minor"]:
        findings.violated(_ANOTHER_SUM, case.id, "the refunds of a cancelled order do not make what was charged")


def _compare(case: Case, which: str, true: tuple[int, str | None], letter: Row, findings: Findings) -> None:
    stated = (letter[f"{which}_minor"], letter["currency"])
    if stated != true:
        findings.violated(_ANOTHER_SUM, case.id, f"{which} {stated[0]} {stated[1]}, and not {true[0]} {true[1]}")


INVARIANT = Invariant(
    6, "one notification per order and kind, with the ledger's sums", rules=(WRITTEN_ONCE,), of_order=of_order
)
