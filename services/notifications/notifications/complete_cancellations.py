"""Completes the mails about cancelled orders with the final amounts, immediately before they are sent.

The events of orders and payments arrive in any order, so no event holds the final amounts. Payments has the ledger and
is called. A mail waits until the amounts are final. After `WAIT_MAX` it is sent without amounts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from chassis.persistence.database import Database
from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer
from notifications.clients.payments import Payments
from notifications.consumed_events import OrderCancelled
from notifications.domain.notification import Notification
from notifications.domain.settlement import PaymentStatus, Settlement, settlement_of
from notifications.store import notifications
from notifications.templates import Templates

WAIT_MAX = timedelta(minutes=10)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CompletedMails:
    """The mails that can be sent, with their texts, and the mails that have to wait. `reason` is the code for these."""

    ready: list[Notification]
    waiting: list[Notification]
    reason: str


async def complete_cancellations(
    database: Database, payments: Payments, templates: Templates, claimed: Sequence[Notification]
) -> CompletedMails:
    """Commit the texts with their amounts before the mails are sent, so that the verifier can always compare them."""
    order_ids = [mail.order_id for mail in claimed if mail.event_data is not None and mail.order_id is not None]
    if not order_ids:
        return CompletedMails(list(claimed), [], "")
    statuses = await _look_up(payments, order_ids)
    ready: list[Notification] = []
    waiting: list[Notification] = []
    completed: list[Notification] = []
    for mail in claimed:
        settlement = None
        if mail.event_data is not None and mail.order_id is not None:
            settlement = settlement_of((statuses or {}).get(mail.order_id))
        if settlement is not None:
            completed.append(_with_text(templates, mail, settlement))
        elif mail.event_data is not None and _may_wait(mail):
            waiting.append(mail)
        else:
            ready.append(mail)
    if completed:
        await database.run_statement(lambda connection: notifications.set_texts(connection, completed))
    reason = "payments_unavailable" if statuses is None else "payment_open"
    return CompletedMails(ready + completed, waiting, reason)


async def _look_up(payments: Payments, order_ids: Sequence[UUID]) -> Mapping[UUID, PaymentStatus] | None:
    try:
        return await payments.look_up(order_ids)
    except (Unavailable, OutcomeUnknown, RefusedByPeer) as error:
        _log.warning("payments lookup failed", count=len(order_ids), error=str(error))
        return None


def _with_text(templates: Templates, mail: Notification, settlement: Settlement) -> Notification:
    assert mail.event_data is not None, "the text is rendered from it"
    order = msgspec.json.decode(mail.event_data, type=OrderCancelled)
    subject, body = templates.render(mail.kind, order, settlement=settlement)
    return replace(mail, subject=subject, body=body, amounts=settlement.amounts())


def _may_wait(mail: Notification) -> bool:
    assert mail.created_at is not None, "it was read from the table"
    return datetime.now(UTC) - mail.created_at < WAIT_MAX
