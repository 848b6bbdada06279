"""Calls the provider for pending refunds: those of cancelled orders, and those that an administrator requested."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.telemetry import tracing
from payments import store
from payments.apply_changes import apply_refund_changes
from payments.clients.provider_client import ProviderClient
from payments.domain.payment_provider import Answer, Approved, Declined
from payments.domain.refund import Refund, RefundChange
from payments.domain.retry_delay import retry_delay_s

_log = structlog.get_logger()


async def settle_refunds(database: Database, provider: ProviderClient, refunds: Sequence[Refund]) -> None:
    """Call the provider for refunds that the caller has leased, and write its answers."""
    if not refunds:
        return
    with tracing.together("internal", (("settle refund", refund.traceparent) for refund in refunds)):
        answers = await provider.refund(refunds)
        by_id = {refund.id: answer for refund, answer in zip(refunds, answers, strict=True)}
        ended = await database.run(lambda connection: _write(connection, refunds, by_id))
    _report(ended)


async def _write(connection: Connection, refunds: Sequence[Refund], answers: Mapping[UUID, Answer]) -> list[Refund]:
    """The refunds that ended by these answers."""
    payments = await store.payments.lock_by_ids(connection, [refund.payment_id for refund in refunds])
    codes = {
        id_: answer.code if isinstance(answer, Declined) else None
        for id_, answer in answers.items()
        if isinstance(answer, Approved | Declined)
    }
    # The statement ends pending refunds only, so an answer that arrives twice has one effect.
    ended_ids = await store.refunds.end(connection, codes)
    changes: list[RefundChange] = []
    for refund in refunds:
        if refund.id not in ended_ids:
            continue
        payment, code = payments[refund.payment_id], codes[refund.id]
        change = refund.complete(payment) if code is None else refund.fail(payment, code)
        payments[refund.payment_id] = change.payment.payment
        changes.append(change)
    await apply_refund_changes(connection, changes)
    unsettled = {refund.id: retry_delay_s(refund.attempts) for refund in refunds if refund.id not in codes}
    if unsettled:
        await store.refunds.schedule_retries(connection, unsettled)
    return [change.refund for change in changes]


def _report(refunds: Sequence[Refund]) -> None:
    for refund in refunds:
        with context.working_on(refund.correlation_id, refund.traceparent):
            ids = {"refund_id": str(refund.id), "payment_id": str(refund.payment_id)}
            if refund.code is not None:
                _log.error("the provider refused a refund", code=refund.code, **ids)
            else:
                _log.info("payment refunded", **ids)
