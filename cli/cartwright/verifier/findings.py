"""What a look found out about one promise: how much was checked, what breaks it, what is still under way."""

from collections import Counter

import msgspec

KEPT_MAX = 1_000
"""So many violations of one promise are kept in memory; beyond, it is only said that there are more."""


class Violation(msgspec.Struct, frozen=True):
    """`id` is what shows it: an order's, a payment's, a product's, an event's."""

    rule: str
    id: str
    detail: str = ""


class Findings:
    """Of one look at one promise. What is younger than `grace_s` is under way rather than broken."""

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.checked: dict[str, int] = {}
        self.in_flight: Counter[str] = Counter()
        self.violations: dict[tuple[str, str], Violation] = {}
        self.are_more = False

    def checked_so_many(self, things: str, count: int) -> None:
        """Several rules may look at the same things."""
        self.checked[things] = max(count, self.checked.get(things, 0))

    def violated(self, rule: str, id_: object, detail: str = "", *, age_s: float | None = None) -> None:
        """`age_s` says for how long it has been so, where time alone may mend it."""
        # The clocks of two databases differ, and an age below zero is none.
        if age_s is not None and max(age_s, 0.0) < self.grace_s:
            self.in_flight[rule] += 1
        elif len(self.violations) < KEPT_MAX:
            violation = Violation(rule, str(id_), detail)
            self.violations[violation.rule, violation.id] = violation
        else:
            self.are_more = True

    def keep_only_those_in(self, earlier: "Findings") -> None:
        """Databases are read one after the other while the system goes on: what only one look saw was under way."""
        for key in self.violations.keys() - earlier.violations.keys():
            self.in_flight[key[0]] += 1
            del self.violations[key]
