"""The form of a promise: rules on one database, in SQL; a judgement of each order with all held for it; a walk."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from cartwright.verifier.findings import Findings
from cartwright.verifier.orders import Case
from cartwright.verifier.snapshots import Snapshots

Checker: TypeAlias = Callable[[Case, Findings], None]
Walk: TypeAlias = Callable[[Snapshots, Findings], Awaitable[None]]


@dataclass(frozen=True)
class Rule:
    """`broken` selects what breaks it, as (id, detail), and a third column where time may mend it: its age in seconds.

    `total` counts the `things` that are checked.
    """

    service: str
    says: str
    things: str
    total: str
    broken: str


@dataclass(frozen=True)
class Invariant:
    """`number` is that of the list of promises."""

    number: int
    says: str
    rules: tuple[Rule, ...] = ()
    of_order: Checker | None = None
    walk: Walk | None = None


async def check_rule(snapshots: Snapshots, rule: Rule, findings: Findings) -> None:
    findings.checked_so_many(rule.things, await snapshots.number(rule.service, rule.total))
    async for row in snapshots.stream(rule.service, rule.broken):
        findings.violated(rule.says, row[0], row[1] or "", age_s=float(row[2]) if len(row) > 2 else None)
