"""An administrator refunds a payment, in whole or in part, and never more than was captured."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.persistence.database import Connection, Database, Row
from chassis.problems import Unavailable
from chassis.values.money import Money
from chassis.web.idempotency import check_same_request
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.domain.payment import Payment, PaymentState
from payments.domain.refund import Refund, RefundKey
from payments.errors import InvalidAmount, PaymentNotCaptured, PaymentNotFound, RefundExceedsPayment, WrongCurrency
from payments.settle_refunds import settle_refunds

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundToCreate:
    """A refund to be created. Without an amount it is all that can be refunded."""

    payment_id: UUID
    amount: Money | None
    reason: str
    key: RefundKey
    fingerprint: bytes
    """Of the request, so that a repeated key with another request is refused."""


async def request_refund(database: Database, provider: ProviderClient, request: RefundToCreate) -> Row:
    """The refund: `done` when the provider answered at once, else `pending` until a worker has completed it.

    Raises `PaymentNotFound`, `PaymentNotCaptured`, `WrongCurrency`, `InvalidAmount`, `RefundExceedsPayment` and
    `KeyUsedAgain`.
    """
    new_id = uuid7()
    refund_id, created = await database.run(lambda connection: _create(connection, new_id, request))
    try:
        await settle_refunds(database, provider, created)
    except Unavailable as refusal:
        # The refund is committed. A worker completes it when the lease has expired.
        _log.warning("a refund could not be settled at once", refund_id=str(refund_id), reason=str(refusal))
    row = await database.read(lambda connection: store.refunds.read_refund(connection, refund_id))
    assert row is not None, "refunds are never deleted"
    return row


async def _create(connection: Connection, new_id: UUID, request: RefundToCreate) -> tuple[UUID, list[Refund]]:
    """The refund's id, and the refund itself when it is new. The caller has its lease, so that no worker claims it."""
    payment_id = request.payment_id
    payment = (await store.payments.lock_by_ids(connection, [payment_id])).get(payment_id)
    if payment is None or payment.user_id is None:
        raise PaymentNotFound
    existing = await store.refunds.find_by_request(connection, payment_id, new_id, request.key)
    if existing is not None:
        existing_id, existing_fingerprint = existing
        check_same_request(existing_fingerprint, request.fingerprint)
        return existing_id, []
    change = payment.request_refund(_amount_minor(payment, request.amount))
    await store.payments.update(connection, [change])
    refund = Refund(
        id=new_id,
        payment_id=payment_id,
        amount_minor=change.refund_minor,
        currency=payment.currency,
        reason=request.reason,
        correlation_id=context.correlation_id(),
        traceparent=context.traceparent(),
        actor=context.actor(),
        key=request.key,
        fingerprint=request.fingerprint,
        attempts=1,
    )
    await store.refunds.add(connection, [refund], attempt_in_s=store.payments.LEASE_S)
    return new_id, [refund]


def _amount_minor(payment: Payment, amount: Money | None) -> int:
    if amount is not None and amount.currency != payment.currency:
        raise WrongCurrency(f"The payment is in {payment.currency}.")
    amount_minor = None if amount is None else amount.minor()
    if amount_minor is not None and amount_minor <= 0:
        raise InvalidAmount
    if payment.state is not PaymentState.CAPTURED:
        raise PaymentNotCaptured
    if amount_minor is None:
        amount_minor = payment.refundable_minor
    if not 0 < amount_minor <= payment.refundable_minor:
        raise RefundExceedsPayment
    return amount_minor
