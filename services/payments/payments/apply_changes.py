"""Writes down what became of payments: the rows, the ledger and the events, all in the caller's transaction.

Every change of a payment goes through here, so none is without its event and no money moves without being booked.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection
from payments import events, metrics, store
from payments.domain import ledger
from payments.domain.ledger import Entry
from payments.domain.payment import Change, Fact, Payment
from payments.domain.refund import Refund

_log = structlog.get_logger()
ORDER_CANCELLED = "order_cancelled"
"""The reason of a refund that nobody asked for by hand."""


async def record_changes(connection: Connection, changes: Sequence[Change], *, attempt_in_s: float = 0.0) -> None:
    """Write changes of locked payments. What is newly wanted is due in `attempt_in_s`."""
    if not changes:
        return
    await store.payments.update(connection, [change.payment for change in changes], attempt_in_s=attempt_in_s)
    refunds = [_refund_of_cancelled(change) for change in changes if change.refund_minor]
    if refunds:
        await store.refunds.add(connection, refunds)
    entries = _entries(changes)
    if entries:
        await store.ledger.book(connection, entries)
    await journal.append(connection, _events(changes))


async def record_if_same(connection: Connection, changes: Sequence[tuple[Payment, Change]]) -> set[UUID]:
    """Write changes of payments that nothing else has happened to since they were read; answers which those were.

    That is one statement, where to lock them, look, and write takes three and a transaction around them. What is not
    written has to be decided again under the lock, as is what asks for a refund.
    """
    simple = [(before, change) for before, change in changes if change.facts and not change.refund_minor]
    if not simple:
        return set()
    made = [change for _, change in simple]
    pairs = [(before, change.payment) for before, change in simple]
    return await store.payments.record_if_same(connection, pairs, _entries(made), _events(made))


async def record_refunds(connection: Connection, refunds: Sequence[tuple[Payment, Refund]]) -> None:
    """Write that the provider gave these refunds; the payments are locked, and have them counted already."""
    if not refunds:
        return
    entries = [
        entry
        for payment, refund in refunds
        for entry in ledger.entries_of_refund(refund.id, payment.id, refund.amount_minor, refund.currency)
    ]
    await store.ledger.book(connection, entries)
    await journal.append(connection, [events.payment_refunded(payment, refund) for payment, refund in refunds])


def count(changes: Sequence[Change]) -> None:
    """Count what was committed."""
    for change in changes:
        for fact in change.facts:
            metrics.PAYMENT_FACTS.labels(fact.value).inc()


def tell(changes: Sequence[Change]) -> None:
    """Count and log what was committed, each under the correlation id of its own purchase."""
    count(changes)
    for change in changes:
        payment = change.payment
        with context.working_on(payment.correlation_id, payment.traceparent):
            known = {"payment_id": str(payment.id), "order_id": str(payment.order_id)}
            for fact in change.facts:
                _log.info(fact.value.replace(".", " "), code=payment.code, **known)
            if change.is_anomaly:
                metrics.PAYMENT_ANOMALIES.inc()
                _log.error("a payment met with what should not happen", state=payment.state.value, **known)


def _refund_of_cancelled(change: Change) -> Refund:
    payment = change.payment
    return Refund(
        id=uuid7(),
        payment_id=payment.id,
        amount_minor=change.refund_minor,
        currency=payment.currency,
        reason=ORDER_CANCELLED,
        correlation_id=payment.correlation_id,
        traceparent=payment.traceparent,
        actor=payment.actor,
    )


def _entries(changes: Sequence[Change]) -> list[Entry]:
    return [
        entry
        for change in changes
        if Fact.CAPTURED in change.facts and change.payment.amount_minor
        for entry in ledger.entries_of_capture(change.payment.id, change.payment.amount_minor, change.payment.currency)
    ]


def _events(changes: Sequence[Change]) -> list[Event]:
    return [events.payment_changed(change.payment, fact) for change in changes for fact in change.facts]
