"""Completes mails about cancelled orders, just before they are sent, with what became of the money.

Events of orders and of payments come in any order, so no event can tell it: payments is asked, which has the ledger. A
mail waits until the end of the payment is known, but not for ever: after `PATIENCE` it is sent without a word on sums.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from chassis.persistence.database import Database
from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer
from notifications import store_notifications
from notifications.messages import OrderCancelled, PaymentFound
from notifications.notification import Notification
from notifications.payments import Payments
from notifications.settlement import Settlement, settlement_of
from notifications.templates import Templates

PATIENCE = timedelta(minutes=10)
_log = structlog.get_logger()


class Completed(msgspec.Struct, frozen=True):
    """The mails that can be sent, each with its text, and those that have to wait; `reason` is the code for these."""

    ready: list[Notification]
    waiting: list[Notification]
    reason: str


class CompleteCancellations:
    def __init__(self, database: Database, payments: Payments, templates: Templates) -> None:
        self._database = database
        self._payments = payments
        self._templates = templates

    async def __call__(self, claimed: Sequence[Notification]) -> Completed:
        """A text is committed with its sums before it is sent, so that what was stated can be checked in any case."""
        order_ids = [mail.order_id for mail in claimed if mail.event_data is not None and mail.order_id is not None]
        if not order_ids:
            return Completed(list(claimed), [], "")
        payments = await self._look_up(order_ids)
        reason = "payments_unavailable" if payments is None else "payment_open"
        completed = Completed([], [], reason)
        texts: list[Notification] = []
        for mail in claimed:
            settlement = None
            if mail.event_data is not None and mail.order_id is not None:
                settlement = settlement_of((payments or {}).get(mail.order_id))
            if settlement is not None:
                texts.append(self._with_text(mail, settlement))
            elif mail.event_data is not None and _is_patient(mail):
                completed.waiting.append(mail)
            else:
                completed.ready.append(mail)
        if texts:
            await self._database.run_statement(lambda connection: store_notifications.set_texts(connection, texts))
        return msgspec.structs.replace(completed, ready=completed.ready + texts)

    async def _look_up(self, order_ids: Sequence[UUID]) -> Mapping[UUID, PaymentFound] | None:
        try:
            return await self._payments.look_up(order_ids)
        except (Unavailable, OutcomeUnknown, RefusedByPeer) as error:
            _log.warning("payments could not be looked up", count=len(order_ids), error=str(error))
            return None

    def _with_text(self, mail: Notification, settlement: Settlement) -> Notification:
        assert mail.event_data is not None, "it is what the text is made of"
        order = msgspec.json.decode(mail.event_data, type=OrderCancelled)
        subject, body = self._templates.write(mail.kind, order, settlement=settlement)
        return msgspec.structs.replace(mail, subject=subject, body=body, amounts=settlement.amounts())


def _is_patient(mail: Notification) -> bool:
    assert mail.created_at is not None, "it was read from the table"
    return datetime.now(UTC) - mail.created_at < PATIENCE
