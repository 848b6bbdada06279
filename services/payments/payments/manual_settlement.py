"""An operator captures or voids a payment by hand, for the day on which the order does not."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from chassis import context
from chassis.persistence.database import Connection, Database
from payments import store
from payments.apply_changes import record_changes
from payments.domain.payment import Change, Payment, State, Wanted, cancelled, confirmed
from payments.errors import PaymentCaptured, PaymentInUse, PaymentNotAuthorized, PaymentNotFound
from payments.settle_payments import SettlePayments

IN_USE_S = 3_600.0
"""Until then an order may be confirmed with the payment: several times what a checkout is given."""


class Intervene:
    def __init__(self, database: Database, settlement: SettlePayments) -> None:
        self._database = database
        self._settlement = settlement

    async def capture(self, payment_id: UUID) -> None:
        """Take what is held. Doing so twice is no mistake. Raises `PaymentNotFound`, `PaymentNotAuthorized`."""
        await self._want(payment_id, _capture)

    async def void(self, payment_id: UUID) -> None:
        """Let go of what is held. Doing so twice is no mistake.

        Raises `PaymentNotFound`, `PaymentCaptured`, and `PaymentInUse` while an order may still count on it.
        """
        await self._want(payment_id, _void)

    async def _want(self, payment_id: UUID, wish: Callable[[Payment, float], Change]) -> None:
        async def work(connection: Connection) -> Payment:
            payment = (await store.payments.lock(connection, [payment_id])).get(payment_id)
            if payment is None or payment.user_id is None:
                raise PaymentNotFound
            change = wish(payment, await store.payments.age_s(connection, payment_id))
            if change.payment == payment:
                return payment
            mine = replace(
                change.payment,
                correlation_id=context.correlation_id(),
                traceparent=context.traceparent(),
                actor=context.actor(),
            )
            await record_changes(connection, [replace(change, payment=mine)], attempt_in_s=store.payments.LEASE_S)
            return mine

        payment = await self._database.run(work)
        if payment.wanted is not None:
            await self._settlement.settle([payment])


def _capture(payment: Payment, _age_s: float) -> Change:
    if payment.state is State.CAPTURED:
        return Change(payment)
    if payment.state is not State.AUTHORIZED or payment.wanted is Wanted.GIVE_BACK:
        raise PaymentNotAuthorized
    return confirmed(payment)


def _void(payment: Payment, age_s: float) -> Change:
    if payment.state is State.CAPTURED or payment.wanted is Wanted.CAPTURE:
        raise PaymentCaptured
    if payment.state in {State.INTENDED, State.AUTHORIZED} and payment.wanted is None and age_s < IN_USE_S:
        raise PaymentInUse
    return cancelled(payment)
