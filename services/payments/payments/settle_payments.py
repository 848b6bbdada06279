"""Calls the provider for pending actions: captures payments of confirmed orders, voids those of cancelled ones.

The provider is called outside any transaction, and the payment may change meanwhile. The answer is then applied to the
payment as it is by then: a capture that a cancellation has overtaken becomes a refund.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from chassis.persistence.database import Connection, Database
from chassis.telemetry import tracing
from payments import store
from payments.apply_changes import apply_changes, apply_if_unchanged, report_changes
from payments.clients.provider_client import ProviderClient
from payments.domain.payment import Change, Payment, PendingAction
from payments.domain.payment_provider import Answer, Approved, Declined
from payments.domain.retry_delay import retry_delay_s

Attempt: TypeAlias = tuple[PendingAction, Answer]


async def settle_payments(database: Database, provider: ProviderClient, payments: Sequence[Payment]) -> None:
    """Perform the pending actions of payments that the caller has leased."""
    if not payments:
        return
    to_capture = [payment for payment in payments if payment.pending_action is PendingAction.CAPTURE]
    to_void = [payment for payment in payments if payment.pending_action is PendingAction.VOID]
    with tracing.together("internal", (("settle payment", payment.traceparent) for payment in payments)):
        captures, voids = await asyncio.gather(provider.capture(to_capture), provider.void(to_void))
        attempts: dict[UUID, Attempt] = {
            payment.id: (action, answer)
            for action, group, answers in (
                (PendingAction.CAPTURE, to_capture, captures),
                (PendingAction.VOID, to_void, voids),
            )
            for payment, answer in zip(group, answers, strict=True)
        }
        changes = await _write(database, payments, attempts)
    report_changes(changes)


async def _write(database: Database, payments: Sequence[Payment], attempts: Mapping[UUID, Attempt]) -> list[Change]:
    expected = [_change(payment, *attempts[payment.id]) for payment in payments if _is_definite(attempts[payment.id])]
    written = await database.run_statement(lambda connection: apply_if_unchanged(connection, expected))
    changes = [change for change in expected if change.payment.id in written]
    rest = {id_: attempt for id_, attempt in attempts.items() if id_ not in written}
    if rest:
        changes += await database.run(lambda connection: _write_locked(connection, rest))
    return changes


async def _write_locked(connection: Connection, attempts: Mapping[UUID, Attempt]) -> list[Change]:
    payments = await store.payments.lock_by_ids(connection, list(attempts))
    changes = [_change(payment, *attempts[id_]) for id_, payment in payments.items() if _is_definite(attempts[id_])]
    await apply_changes(connection, [change for change in changes if change.events])
    unsettled = {
        id_: retry_delay_s(payment.attempts)
        for id_, payment in payments.items()
        if payment.pending_action is not None and not _is_definite(attempts[id_])
    }
    if unsettled:
        await store.payments.schedule_retries(connection, unsettled)
    return changes


def _is_definite(attempt: Attempt) -> bool:
    return isinstance(attempt[1], Approved | Declined)


def _change(payment: Payment, action: PendingAction, answer: Answer) -> Change:
    if action is PendingAction.CAPTURE:
        return payment.fail_capture(answer.code) if isinstance(answer, Declined) else payment.capture()
    # A void is declined for one reason only: the money was captured before.
    return payment.capture() if isinstance(answer, Declined) else payment.void()
