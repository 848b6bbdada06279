"""Looks at the data, and again at what seems wrong, until what is left is no matter of the moment.

Each database is read as of one moment, but not all of the same one, and the system goes on meanwhile. So a violation
is what every look sees; what a later look does not see any more was under way.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from cartwright.verifier import (
    audit_journal,
    charges,
    compensation,
    erasure,
    liveness,
    money,
    notifications,
    rights,
    stock,
    totals,
)
from cartwright.verifier.findings import Findings, Violation
from cartwright.verifier.invariant import Invariant, check_rule
from cartwright.verifier.orders import every_order
from cartwright.verifier.quiet import wait_until_quiet
from cartwright.verifier.snapshots import Snapshots, open_snapshots

INVARIANTS: tuple[Invariant, ...] = (
    charges.INVARIANT,
    stock.INVARIANT,
    money.INVARIANT,
    compensation.INVARIANT,
    notifications.INVARIANT,
    liveness.INVARIANT,
    audit_journal.INVARIANT,
    totals.INVARIANT,
    rights.INVARIANT,
    erasure.INVARIANT,
)
GRACE_S = 60.0
"""What a busy system gets for an effect that follows by an event. A quiet one has nothing under way."""
PAUSES_S = (1.0, 2.0, 4.0)
"""Before each further look."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """On one promise. `violations` are the first ones, up to 1,000; `are_more` says that there are others."""

    promise: int
    says: str
    holds: bool
    checked: dict[str, int]
    in_flight: dict[str, int]
    violations: list[Violation]
    are_more: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """`in_flight` is what was under way when the waiting ended; empty when the system was quiet."""

    holds: bool
    in_flight: dict[str, int]
    verdicts: list[Verdict]


async def verify(urls: Mapping[str, str], *, head_keys: str = "", wait_s: float = 30.0) -> Report:
    """Check all promises on the databases at `urls`, by service: read-only logins suffice.

    Raises OSError and asyncpg's errors when a database cannot be read.
    """
    async with open_snapshots(urls, head_keys) as snapshots:
        in_flight = await wait_until_quiet(snapshots, wait_s)
        grace_s = GRACE_S if in_flight else 0.0
        verdicts = await judge(snapshots, grace_s, PAUSES_S)
    return Report(holds=all(verdict.holds for verdict in verdicts), in_flight=in_flight, verdicts=verdicts)


async def judge(snapshots: Snapshots, grace_s: float, pauses_s: Sequence[float] = ()) -> list[Verdict]:
    """One look at all promises, and after each pause another at those that seem broken."""
    findings = await _look(snapshots, INVARIANTS, grace_s)
    for pause_s in pauses_s:
        suspected = [promise for promise in INVARIANTS if findings[promise.number].violations]
        if not suspected:
            break
        await asyncio.sleep(pause_s)
        for number, later in (await _look(snapshots, suspected, grace_s)).items():
            later.keep_only_those_in(findings[number])
            findings[number] = later
    return [_verdict(promise, findings[promise.number]) for promise in INVARIANTS]


async def _look(snapshots: Snapshots, promises: Sequence[Invariant], grace_s: float) -> dict[int, Findings]:
    findings = {promise.number: Findings(grace_s) for promise in promises}
    async with snapshots.snapshot():
        for promise in promises:
            for rule in promise.rules:
                await check_rule(snapshots, rule, findings[promise.number])
            if promise.walk is not None:
                await promise.walk(snapshots, findings[promise.number])
        judges = [(promise.of_order, findings[promise.number]) for promise in promises if promise.of_order is not None]
        if judges:
            cases = 0
            async for case in every_order(snapshots):
                cases += 1
                for judge_order, found in judges:
                    judge_order(case, found)
            for _, found in judges:
                found.checked_so_many("orders", cases)
    return findings


def _verdict(promise: Invariant, findings: Findings) -> Verdict:
    return Verdict(
        promise=promise.number,
        says=promise.says,
        holds=not findings.violations,
        checked=findings.checked,
        in_flight=dict(findings.in_flight),
        violations=list(findings.violations.values()),
        are_more=findings.are_more,
    )
