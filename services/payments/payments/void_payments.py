"""Voids the payments of a batch of orders, whatever is known about them, and before they exist if need be.

First it is written that the money has to go back: from then on no late answer can make the payment authorized. Then
the provider is asked, which leaves a tombstone of its own. What it does not answer stays wanted, and is done later.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from uuid import UUID

import structlog

from chassis import context
from chassis.persistence.database import Connection, Database
from chassis.problems import Unavailable
from payments import store
from payments.apply_changes import record_changes
from payments.domain.payment import Change, Payment, State, Wanted, cancelled
from payments.messages import VoidAnswer, VoidItem
from payments.settle_payments import SettlePayments

_log = structlog.get_logger()


class VoidPayments:
    def __init__(self, database: Database, settlement: SettlePayments) -> None:
        self._database = database
        self._settlement = settlement

    async def void(self, items: Sequence[VoidItem]) -> list[VoidAnswer]:
        """One answer for each item, in order."""
        payments = await self._database.run(lambda connection: _want_back(connection, items))
        order_ids = [item.order_id for item in items]
        wanted = [payment for payment in payments.values() if payment.wanted is Wanted.GIVE_BACK]
        if wanted:
            try:
                await self._settlement.settle(wanted)
                payments = await self._database.read(lambda connection: store.payments.of_orders(connection, order_ids))
            except Unavailable as refusal:
                # It is written that they are to be voided: the loop goes on with them.
                _log.warning("voids could not be ended at once", count=len(wanted), reason=str(refusal))
        answers = [VoidAnswer(order_id=id_, outcome=_outcome(payments[id_])) for id_ in order_ids]
        for item, answer in zip(items, answers, strict=True):
            with context.working_on(item.correlation_id, item.traceparent):
                _log.info("void asked for", order_id=str(item.order_id), outcome=answer.outcome)
        return answers


async def _want_back(connection: Connection, items: Sequence[VoidItem]) -> dict[UUID, Payment]:
    await store.payments.add_tombstones(
        connection, {item.order_id: context.acceptable_id(item.correlation_id) for item in items}
    )
    payments = await store.payments.lock_of_orders(connection, [item.order_id for item in items])
    changes: dict[UUID, Change] = {}
    for item in items:
        payment = payments[item.order_id]
        if payment.state in {State.INTENDED, State.AUTHORIZED}:
            correlation_id = context.acceptable_id(item.correlation_id)
            asked = replace(payment, correlation_id=correlation_id, traceparent=item.traceparent, actor=context.actor())
            changes[item.order_id] = cancelled(asked)
    # The caller goes on with these at once; the loop takes them only if that fails.
    await record_changes(connection, list(changes.values()), attempt_in_s=store.payments.LEASE_S)
    return payments | {order_id: change.payment for order_id, change in changes.items()}


def _outcome(payment: Payment) -> Literal["voided", "unknown", "captured"]:
    match payment.state:
        case State.VOIDED | State.DECLINED:
            return "voided"
        case State.CAPTURED:
            return "captured"
        case State.INTENDED | State.AUTHORIZED:
            return "unknown"
