"""Voids the payments of a batch of orders, whatever their state, and even before they exist.

The pending void is committed first: from then on no late answer can authorize the payment. Then the provider is called,
which stores a tombstone of its own. When it does not answer, a worker repeats the void later.
"""

from collections.abc import Sequence
from uuid import UUID

import structlog

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.problems import Unavailable
from payments import store
from payments.apply_changes import apply_changes
from payments.clients.provider_client import ProviderClient
from payments.domain.order_requests import VoidOutcome, VoidRequest
from payments.domain.payment import Change, Payment, PaymentState, PendingAction
from payments.settle_payments import settle_payments

_log = structlog.get_logger()


async def void_payments(
    database: Database, provider: ProviderClient, requests: Sequence[VoidRequest]
) -> list[VoidOutcome]:
    """One outcome for each request, in order."""
    payments = await database.run(lambda connection: _request_voids(connection, requests))
    pending = [payment for payment in payments.values() if payment.pending_action is PendingAction.VOID]
    if pending:
        try:
            await settle_payments(database, provider, pending)
            order_ids = [request.order_id for request in requests]
            payments = await database.read(lambda connection: store.payments.find_by_orders(connection, order_ids))
        except Unavailable as refusal:
            # The pending voids are committed: a worker performs them when the lease has expired.
            _log.warning("voids could not be performed at once", count=len(pending), reason=str(refusal))
    outcomes = [VoidOutcome.of(payments[request.order_id]) for request in requests]
    for request, outcome in zip(requests, outcomes, strict=True):
        with context.working_on(request.correlation_id, request.traceparent):
            _log.info("void requested", order_id=str(request.order_id), outcome=outcome.value)
    return outcomes


async def _request_voids(connection: Connection, requests: Sequence[VoidRequest]) -> dict[UUID, Payment]:
    """The payments by order. The caller has the lease of those with a pending void."""
    correlation_ids = {request.order_id: context.acceptable_id(request.correlation_id) for request in requests}
    await store.payments.add_tombstones(connection, correlation_ids)
    payments = await store.payments.lock_by_orders(connection, list(correlation_ids))
    changes: dict[UUID, Change] = {}
    for request in requests:
        payment = payments[request.order_id]
        if payment.state in {PaymentState.INTENDED, PaymentState.AUTHORIZED}:
            changes[request.order_id] = payment.cancel().caused_by(
                correlation_id=correlation_ids[request.order_id],
                traceparent=request.traceparent,
                actor=context.actor(),
            )
    await apply_changes(connection, list(changes.values()), attempt_in_s=store.payments.LEASE_S)
    return payments | {order_id: change.payment for order_id, change in changes.items()}
