"""Gives refunds at the provider: those of cancelled orders and those that an administrator asked for."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import structlog

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.telemetry import tracing
from payments import store
from payments.apply_changes import record_refunds
from payments.domain.payment import Payment, refund_refused, refunded
from payments.domain.payment_provider import Answer, Approved, Declined, GiveBack
from payments.domain.refund import Refund
from payments.providers.provider_client import ProviderCalls
from payments.settle_payments import BATCH_MAX, retry_delay_s

_log = structlog.get_logger()


class SettleRefunds:
    """`turn` is one round of a loop."""

    def __init__(self, database: Database, provider: ProviderCalls, wake_relay: Callable[[], None]) -> None:
        self._database = database
        self._provider = provider
        self._wake_relay = wake_relay

    async def turn(self) -> bool:
        """Settle what is due. True when there is likely more."""
        due = await self._database.run_statement(lambda connection: store.refunds.take_due(connection, BATCH_MAX))
        await self.settle(due)
        return len(due) == BATCH_MAX

    async def settle(self, refunds: Sequence[Refund]) -> None:
        """Ask the provider for refunds whose lease the caller has, and write what it answers."""
        if not refunds:
            return
        with tracing.together("internal", (("settle refund", refund.traceparent) for refund in refunds)):
            answers = await self._provider.refund([_give_back(refund) for refund in refunds])
            answered = {refund.id: answer for refund, answer in zip(refunds, answers, strict=True)}
            ended = await self._database.run(lambda connection: _write(connection, refunds, answered))
        self._wake_relay()
        _tell([refund for refund in refunds if refund.id in ended], answered)


def _give_back(refund: Refund) -> GiveBack:
    return GiveBack(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
    )


async def _write(connection: Connection, refunds: Sequence[Refund], answers: Mapping[UUID, Answer]) -> set[UUID]:
    payments = await store.payments.lock(connection, [refund.payment_id for refund in refunds])
    codes = {
        id_: answer.code if isinstance(answer, Declined) else None
        for id_, answer in answers.items()
        if isinstance(answer, Approved | Declined)
    }
    # Only a refund that was pending until now counts, so an answer that comes twice is booked once.
    ended = await store.refunds.end(connection, codes)
    changed: dict[UUID, Payment] = {}
    given: list[tuple[Payment, Refund]] = []
    for refund in refunds:
        if refund.id not in ended:
            continue
        payment = changed.get(refund.payment_id, payments[refund.payment_id])
        if codes[refund.id] is None:
            payment = refunded(payment, refund.amount_minor)
            given.append((payment, refund))
        else:
            payment = refund_refused(payment, refund.amount_minor)
        changed[payment.id] = payment
    await store.payments.update(connection, list(changed.values()))
    await record_refunds(connection, given)
    open_ = {refund.id: retry_delay_s(refund.attempts) for refund in refunds if refund.id not in codes}
    if open_:
        await store.refunds.try_again_in(connection, open_)
    return ended


def _tell(refunds: Sequence[Refund], answers: Mapping[UUID, Answer]) -> None:
    for refund in refunds:
        answer = answers[refund.id]
        with context.working_on(refund.correlation_id, refund.traceparent):
            known = {"refund_id": str(refund.id), "payment_id": str(refund.payment_id)}
            if isinstance(answer, Declined):
                _log.error("the provider refused a refund", code=answer.code, **known)
            else:
                _log.info("payment refunded", **known)
