"""An administrator gives money back, in whole or in part, and never more than was taken."""

from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.persistence.database import Connection, Database, Row
from chassis.problems import KeyUsedAgain, Unavailable
from chassis.values import visible_text
from chassis.web import idempotency
from payments import store
from payments.domain.payment import Payment, State, refund_requested
from payments.domain.refund import Refund, RefundKey
from payments.errors import InvalidAmount, PaymentNotCaptured, PaymentNotFound, RefundExceedsPayment, WrongCurrency
from payments.messages import TEXT_CHARACTERS_MAX, NewRefund
from payments.settle_refunds import SettleRefunds

_log = structlog.get_logger()


class RequestRefund:
    def __init__(self, database: Database, settlement: SettleRefunds) -> None:
        self._database = database
        self._settlement = settlement

    async def request(self, payment_id: UUID, wish: NewRefund, key: RefundKey) -> Row:
        """The refund: `done` when the provider answered at once, else `pending`, and done later.

        Raises `PaymentNotFound`, `PaymentNotCaptured`, `WrongCurrency`, `InvalidAmount`, `RefundExceedsPayment` and
        `KeyUsedAgain`, and `InvalidText` for a reason that is no visible line: the buyer reads it in a mail.
        """
        reason = visible_text.line(wish.reason, member="reason", characters_max=TEXT_CHARACTERS_MAX)
        wish = msgspec.structs.replace(wish, reason=reason)
        new_id = uuid7()
        refund_id, added = await self._database.run(lambda connection: _add(connection, new_id, payment_id, wish, key))
        try:
            await self._settlement.settle(added)
        except Unavailable as refusal:
            # The refund is written. The loop takes it when the lease ends.
            _log.warning("a refund could not be settled at once", refund_id=str(refund_id), reason=str(refusal))
        row = await self._database.read(lambda connection: store.refunds.read_refund(connection, refund_id))
        assert row is not None, "refunds are never deleted"
        return row


async def _add(
    connection: Connection, new_id: UUID, payment_id: UUID, wish: NewRefund, key: RefundKey
) -> tuple[UUID, list[Refund]]:
    """The refund's id, and the refund itself if it is new: on the caller's lease, so that the loop leaves it alone."""
    payment = (await store.payments.lock(connection, [payment_id])).get(payment_id)
    if payment is None or payment.user_id is None:
        raise PaymentNotFound
    fingerprint = idempotency.fingerprint(wish)
    asked = await store.refunds.find_asked(connection, payment_id, new_id, key)
    if asked is not None:
        asked_id, asked_fingerprint = asked
        if asked_fingerprint != fingerprint:
            raise KeyUsedAgain
        return asked_id, []
    change = refund_requested(payment, _amount_minor(payment, wish))
    await store.payments.update(connection, [change.payment])
    refund = Refund(
        id=new_id,
        payment_id=payment_id,
        amount_minor=change.refund_minor,
        currency=payment.currency,
        reason=wish.reason,
        correlation_id=context.correlation_id(),
        traceparent=context.traceparent(),
        actor=context.actor(),
        key=key,
        fingerprint=fingerprint,
        attempts=1,
    )
    await store.refunds.add(connection, [refund], attempt_in_s=store.payments.LEASE_S)
    return new_id, [refund]


def _amount_minor(payment: Payment, wish: NewRefund) -> int:
    if wish.amount is not None and wish.amount.currency != payment.currency:
        raise WrongCurrency(f"The payment is in {payment.currency}.")
    amount_minor = None if wish.amount is None else wish.amount.minor()
    if amount_minor is not None and amount_minor <= 0:
        raise InvalidAmount
    if payment.state is not State.CAPTURED:
        raise PaymentNotCaptured
    if amount_minor is None:
        amount_minor = payment.left_minor
    if not 0 < amount_minor <= payment.left_minor:
        raise RefundExceedsPayment
    return amount_minor
