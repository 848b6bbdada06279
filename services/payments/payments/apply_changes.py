"""Writes changes of payments and refunds: rows, ledger entries and events, all in the caller's transaction.

Every change goes through this module. So each change has its events, and each movement of money its ledger entries.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from chassis import context
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection
from payments import metrics, store
from payments.domain.ledger import Entry, entries_of_capture, entries_of_refund
from payments.domain.payment import Change, EventType
from payments.domain.refund import Refund, RefundChange
from payments.events import events_of_change, events_of_refund_change

_log = structlog.get_logger()
ORDER_CANCELLED = "order_cancelled"
"""The reason of a refund that follows a cancellation."""


async def apply_changes(connection: Connection, changes: Sequence[Change], *, attempt_in_s: float = 0.0) -> None:
    """Write changes of locked payments, one for each payment. A new pending action is due in `attempt_in_s`."""
    if not changes:
        return
    await store.payments.update(connection, changes, attempt_in_s=attempt_in_s)
    refunds = [_refund_of_cancelled_order(change) for change in changes if change.refund_minor]
    if refunds:
        await store.refunds.add(connection, refunds)
    entries = _entries(changes)
    if entries:
        await store.ledger.add_entries(connection, entries)
    await journal.append(connection, _events(changes))


async def apply_if_unchanged(connection: Connection, changes: Sequence[Change]) -> set[UUID]:
    """Write changes of payments that are still in the state that was read, and return the ids of these payments.

    This is one statement; to lock, read and write takes three and a transaction. The caller has to decide again, under
    a lock, on payments that were changed meanwhile and on changes that create a refund.
    """
    simple = [change for change in changes if change.events and not change.refund_minor]
    if not simple:
        return set()
    return await store.payments.apply_if_unchanged(connection, simple, _entries(simple), _events(simple))


async def apply_refund_changes(connection: Connection, changes: Sequence[RefundChange]) -> None:
    """Write what ended refunds change: their payments, which are locked, the ledger and the events.

    The rows of the refunds were written before, by the statement that decided which of them were pending.
    """
    if not changes:
        return
    payments: dict[UUID, Change] = {}
    for change in changes:
        earlier = payments.get(change.refund.payment_id)
        payments[change.refund.payment_id] = change.payment if earlier is None else earlier.then(change.payment)
    await store.payments.update(connection, list(payments.values()))
    completed = [change.refund for change in changes if change.event is not None]
    entries = [
        entry
        for refund in completed
        for entry in entries_of_refund(refund.id, refund.payment_id, refund.amount_minor, refund.currency)
    ]
    if entries:
        await store.ledger.add_entries(connection, entries)
    await journal.append(connection, [event for change in changes for event in events_of_refund_change(change)])


def count_changes(changes: Sequence[Change]) -> None:
    """Count the events of committed changes in the metrics."""
    for change in changes:
        for event_type in change.events:
            metrics.PAYMENT_EVENTS.labels(event_type.value).inc()


def report_changes(changes: Sequence[Change]) -> None:
    """Count and log committed changes, each under the correlation id of its own purchase."""
    count_changes(changes)
    for change in changes:
        payment = change.payment
        with context.working_on(payment.correlation_id, payment.traceparent):
            ids = {"payment_id": str(payment.id), "order_id": str(payment.order_id)}
            for event_type in change.events:
                _log.info(event_type.value.replace(".", " "), code=payment.code, **ids)
            if change.is_anomaly:
                metrics.PAYMENT_ANOMALIES.inc()
                _log.error("unexpected transition of a payment", state=payment.state.value, **ids)


def _refund_of_cancelled_order(change: Change) -> Refund:
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
        if EventType.CAPTURED in change.events and change.payment.amount_minor
        for entry in entries_of_capture(change.payment.id, change.payment.amount_minor, change.payment.currency)
    ]


def _events(changes: Sequence[Change]) -> list[Event]:
    return [event for change in changes for event in events_of_change(change)]
