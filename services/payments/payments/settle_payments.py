"""Does at the provider what is wanted of payments: captures for confirmed orders, gives back for cancelled ones.

Payments of which something is wanted carry a lease, so that replicas share the work and a crash only delays it. The
provider is called outside any transaction; its answer finds the payment as it is by then, and a capture that was
overtaken by a cancellation turns into a refund (`payment.captured`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

from chassis.persistence.database import Connection, Database
from chassis.telemetry import tracing
from payments import store
from payments.apply_changes import record_changes, record_if_same, tell
from payments.domain.payment import Change, Payment, Wanted, capture_refused, captured, voided
from payments.domain.payment_provider import Answer, Approved, Declined
from payments.providers.provider_client import ProviderCalls

BATCH_MAX = 256
RETRY_S_MIN = 0.2
RETRY_S_MAX = 10.0
Asked: TypeAlias = tuple[Wanted, Answer]


class SettlePayments:
    """`turn` is one round of a loop. `wake_refunds` is called when a refund may have come up."""

    def __init__(
        self,
        database: Database,
        provider: ProviderCalls,
        wake_relay: Callable[[], None],
        wake_refunds: Callable[[], None],
    ) -> None:
        self._database = database
        self._provider = provider
        self._wake_relay = wake_relay
        self._wake_refunds = wake_refunds

    async def turn(self) -> bool:
        """Settle what is due. True when there is likely more."""
        due = await self._database.run_statement(lambda connection: store.payments.take_due(connection, BATCH_MAX))
        await self.settle(due)
        return len(due) == BATCH_MAX

    async def settle(self, payments: Sequence[Payment]) -> None:
        """Do what is wanted of payments whose lease is the caller's."""
        if not payments:
            return
        to_capture = [payment for payment in payments if payment.wanted is Wanted.CAPTURE]
        to_void = [payment for payment in payments if payment.wanted is Wanted.GIVE_BACK]
        with tracing.together("internal", (("settle payment", payment.traceparent) for payment in payments)):
            captures, voids = await asyncio.gather(self._provider.capture(to_capture), self._provider.void(to_void))
            asked: dict[UUID, Asked] = {
                payment.id: (wanted, answer)
                for wanted, group, answers in (
                    (Wanted.CAPTURE, to_capture, captures),
                    (Wanted.GIVE_BACK, to_void, voids),
                )
                for payment, answer in zip(group, answers, strict=True)
            }
            changes = await self._write(payments, asked)
        self._wake_relay()
        if any(change.refund_minor for change in changes):
            self._wake_refunds()
        tell(changes)

    async def _write(self, payments: Sequence[Payment], asked: Mapping[UUID, Asked]) -> list[Change]:
        expected = [
            (payment, _change(payment, *asked[payment.id])) for payment in payments if _is_definite(asked[payment.id])
        ]
        written = await self._database.run_statement(lambda connection: record_if_same(connection, expected))
        changes = [change for payment, change in expected if payment.id in written]
        rest = {id_: answer for id_, answer in asked.items() if id_ not in written}
        if rest:
            changes += await self._database.run(lambda connection: _write_locked(connection, rest))
        return changes


async def _write_locked(connection: Connection, asked: Mapping[UUID, Asked]) -> list[Change]:
    payments = await store.payments.lock(connection, list(asked))
    changes = [_change(payment, *asked[id_]) for id_, payment in payments.items() if _is_definite(asked[id_])]
    await record_changes(connection, [change for change in changes if change.facts])
    open_ = {
        id_: retry_delay_s(payment.attempts)
        for id_, payment in payments.items()
        if payment.wanted is not None and not _is_definite(asked[id_])
    }
    if open_:
        await store.payments.try_again_in(connection, open_)
    return changes


def _is_definite(asked: Asked) -> bool:
    return isinstance(asked[1], Approved | Declined)


def _change(payment: Payment, wanted: Wanted, answer: Answer) -> Change:
    if wanted is Wanted.CAPTURE:
        return capture_refused(payment, answer.code) if isinstance(answer, Declined) else captured(payment)
    # The one reason why a void is declined is that the money was taken already.
    return captured(payment) if isinstance(answer, Declined) else voided(payment)


def retry_delay_s(attempts: int) -> float:
    """Doubles with each attempt, up to `RETRY_S_MAX`: a payment is settled soon after its provider is back."""
    return float(min(RETRY_S_MAX, RETRY_S_MIN * 2 ** min(attempts, 10)))
