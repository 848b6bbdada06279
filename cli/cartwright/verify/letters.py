"""Promise 6: one notification per (order, kind), and none forgotten that a confirmation or a cancellation asks for.

Whether it was sent, failed for good or was not wanted by the buyer is told in the notification itself.
"""

from cartwright.verify.findings import Findings
from cartwright.verify.orders import Case
from cartwright.verify.promise import Promise, Rule

ONCE = Rule(
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


def of_order(case: Case, findings: Findings) -> None:
    kinds = [letter["kind"] for letter in case.letters]
    for kind in sorted(set(kinds)):
        if kinds.count(kind) > 1:
            findings.violated("a buyer was told twice", case.id, kind)
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


PROMISE = Promise(6, "one notification per order and kind", rules=(ONCE,), of_order=of_order)
