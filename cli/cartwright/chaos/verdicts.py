"""Has the judge hear the record and see what is there: orders as their buyers read them, and as they are kept."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cartwright.chaos import history
from cartwright.chaos.checker import SAYS, Checker, StoredOrder, StoredRefund
from cartwright.chaos.clients import Account, GatewayClient
from cartwright.chaos.forgery import ORIGIN, ORIGIN_SAYS, Forgeries
from cartwright.chaos.history import Call
from cartwright.chaos.revocations import RIGHTS_GONE, Revocations
from cartwright.chaos.workload import Shop
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.launcher.system import System
from cartwright.verifier.findings import Findings, Violation
from cartwright.verifier.quiet import NOTIFICATIONS, wait_until_quiet
from cartwright.verifier.reads import Report, Verdict, verify
from cartwright.verifier.snapshots import open_snapshots

PAGE = 100
READ_S_MAX = 30.0
ENDS = 7
# A sender that was killed with a batch of mails in hand has them leased for 90 s.
NOTIFICATIONS_S_MAX = 100.0

_ORDERS = "SELECT id, user_id, idempotency_key, correlation_id, status, confirmed_at IS NOT NULL FROM orders"
_REFUNDS = "SELECT id, idempotency_key, correlation_id, amount_minor FROM refunds WHERE is_requested"


async def check_history(
    system: System,
    line: GatewayClient,
    shop: Shop,
    revocations: Revocations,
    forgeries: Forgeries,
    path: Path,
    wait_s: float,
    unready: Sequence[str],
) -> list[Verdict]:
    """The verdicts on all promises, in their order. Waits `wait_s` at the most for the system to be quiet.

    `unready` are the parts that did not come back.
    """
    urls = {service: system.reader_url(service) for service in SERVICES_WITH_DATABASE}
    async with open_snapshots(urls) as snapshots:
        late = await wait_until_quiet(snapshots, wait_s)
    late.pop(NOTIFICATIONS, None)
    report = await verify(urls, head_keys=system.head_keys, wait_s=0.0 if late else NOTIFICATIONS_S_MAX)
    judge = Checker()
    await asyncio.to_thread(_add_history, judge, path)
    for account in shop.accounts:
        async for view in _orders_of(account, line):
            judge.see(view)
    async with open_snapshots(urls) as snapshots, snapshots.snapshot():
        async for row in snapshots.stream("orders", _ORDERS):
            judge.meet(StoredOrder(str(row[0]), str(row[1]), row[2], row[3], row[4], row[5]))
        async for row in snapshots.stream("payments", _REFUNDS):
            judge.add_refund(StoredRefund(str(row[0]), row[1], row[2], row[3]))
        forged = await forgeries.check(snapshots)
    judge.conclude()
    findings = [*judge.findings.items(), (RIGHTS_GONE, await revocations.judge()), (ORIGIN, forged)]
    return combined(report, findings, unready, late or report.in_flight)


def combined(
    report: Report, findings_of: Sequence[tuple[int, Findings]], unready: Sequence[str], in_flight: Mapping[str, int]
) -> list[Verdict]:
    """What the data shows and what the answers show, promise by promise."""
    verdicts = {verdict.promise: verdict for verdict in report.verdicts}
    late = [Violation("a part did not become ready again", part) for part in unready]
    if in_flight:
        told = ", ".join(f"{count} {things}" for things, count in in_flight.items())
        late.append(Violation("the system did not become quiet in time", told))
    verdicts[ENDS] = _with(verdicts[ENDS], late, {}, are_more=False)
    verdicts[ORIGIN] = msgspec.structs.replace(verdicts[ORIGIN], says=ORIGIN_SAYS)
    for number, findings in findings_of:
        verdict = verdicts.get(number) or Verdict(
            promise=number, says=SAYS[number], holds=True, checked={}, in_flight={}, violations=[], are_more=False
        )
        violations = list(findings.violations.values())
        verdicts[number] = _with(verdict, violations, findings.checked, are_more=findings.are_more)
    return [verdicts[number] for number in sorted(verdicts)]


def _with(verdict: Verdict, violations: list[Violation], checked: dict[str, int], *, are_more: bool) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        holds=verdict.holds and not violations,
        checked=verdict.checked | checked,
        violations=[*verdict.violations, *violations],
        are_more=verdict.are_more or are_more,
    )


def _add_history(judge: Checker, path: Path) -> None:
    for line in history.read(path):
        if isinstance(line, Call):
            judge.hear(line)


async def _orders_of(account: Account, line: GatewayClient) -> AsyncIterator[dict[str, Any]]:
    """All of them, the refused ones too, which are listed only when asked for."""
    await account.keep_signed_in()
    for which in ("", "&status=refused"):
        cursor = ""
        while True:
            path = f"/orders?limit={PAGE}{which}{cursor}"
            headers = {"authorization": f"Bearer {account.token}"}
            status, content, trouble = await line.send("GET", path, None, headers, READ_S_MAX)
            if status != 200:
                raise CannotGoOn(f"The orders could not be read: {status} {trouble or content.decode()}")
            answer = msgspec.json.decode(content)
            for view in answer["items"]:
                yield view
            if answer["next_cursor"] is None:
                break
            cursor = f"&cursor={answer['next_cursor']}"
