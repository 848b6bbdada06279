"""An administrator captures or voids a payment by hand, for an order that fails to do so."""

from collections.abc import Callable
from uuid import UUID

from chassis import context
from chassis.persistence.database import Connection, Database
from payments import store
from payments.apply_changes import apply_changes
from payments.clients.provider_client import ProviderClient
from payments.domain.payment import Change, Payment, PaymentState, PendingAction
from payments.errors import PaymentCaptured, PaymentInUse, PaymentNotAuthorized, PaymentNotFound
from payments.settle_payments import settle_payments

VOID_AGE_MIN_S = 3_600.0
"""A younger payment may still belong to an order that gets confirmed. Several times the time limit of a checkout."""


async def capture_manually(database: Database, provider: ProviderClient, payment_id: UUID) -> None:
    """Capture what is held. Idempotent. Raises `PaymentNotFound`, `PaymentNotAuthorized`."""
    await _settle_manually(database, provider, payment_id, _capture)


async def void_manually(database: Database, provider: ProviderClient, payment_id: UUID) -> None:
    """Void what is held. Idempotent.

    Raises `PaymentNotFound`, `PaymentCaptured`, and `PaymentInUse` while the payment is younger than `VOID_AGE_MIN_S`.
    """
    await _settle_manually(database, provider, payment_id, _void)


async def _settle_manually(
    database: Database,
    provider: ProviderClient,
    payment_id: UUID,
    transition: Callable[[Payment, float], Change],
) -> None:
    async def work(connection: Connection) -> Payment:
        payment = (await store.payments.lock_by_ids(connection, [payment_id])).get(payment_id)
        if payment is None or payment.user_id is None:
            raise PaymentNotFound
        change = transition(payment, await store.payments.age_s(connection, payment_id))
        if not change.has_effect:
            return payment
        change = change.caused_by(
            correlation_id=context.correlation_id(), traceparent=context.traceparent(), actor=context.actor()
        )
        await apply_changes(connection, [change], attempt_in_s=store.payments.LEASE_S)
        return change.payment

    payment = await database.run(work)
    if payment.pending_action is not None:
        await settle_payments(database, provider, [payment])


def _capture(payment: Payment, _age_s: float) -> Change:
    if payment.state is PaymentState.CAPTURED:
        return Change(payment, payment)
    if payment.state is not PaymentState.AUTHORIZED or payment.pending_action is PendingAction.VOID:
        raise PaymentNotAuthorized
    return payment.request_capture()


def _void(payment: Payment, age_s: float) -> Change:
    if payment.state is PaymentState.CAPTURED or payment.pending_action is PendingAction.CAPTURE:
        raise PaymentCaptured
    is_open = payment.state in {PaymentState.INTENDED, PaymentState.AUTHORIZED} and payment.pending_action is None
    if is_open and age_s < VOID_AGE_MIN_S:
        raise PaymentInUse
    return payment.cancel()
