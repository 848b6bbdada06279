"""What became of the money of orders, as the ledger has it at this moment: for messages that state it."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Database
from chassis.values.money import money
from payments import store
from payments.domain.payment import Payment, State
from payments.messages import PaymentNow, TakenAmounts


async def look_up_payments(database: Database, order_ids: Sequence[UUID]) -> list[PaymentNow]:
    """The payments of the orders that have one or were voided before they had one, in no order."""
    payments = await database.read(lambda connection: store.payments.of_orders(connection, order_ids))
    return [payment_now(payment) for payment in payments.values()]


def payment_now(payment: Payment) -> PaymentNow:
    return PaymentNow(
        order_id=payment.order_id,
        state=payment.state.value,
        taken=_taken(payment) if payment.state is State.CAPTURED else None,
    )


def _taken(payment: Payment) -> TakenAmounts:
    pending_minor = payment.refund_requested_minor - payment.refunded_minor
    return TakenAmounts(
        charged=money(payment.amount_minor, payment.currency),
        refunded=money(payment.refunded_minor, payment.currency),
        refund_pending=money(pending_minor, payment.currency),
    )
