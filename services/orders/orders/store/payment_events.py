"""Every SQL statement about what payments has said of orders. The truth about money is in payments; this is a copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from chassis.persistence.statements import JsonText, Statement
from chassis.values.money import Money, money
from orders.consumed_events import PaymentEvent

VOIDED, REFUNDED = "payment.voided", "payment.refunded"


class Entry(msgspec.Struct, frozen=True):
    """An event of payments, as the timeline shows it. `data` is the JSON text."""

    time: datetime
    type: str
    actor: str | None
    data: str


@dataclass(slots=True)
class _EventRow:
    order_id: UUID
    event_id: UUID
    type: str
    time: datetime
    actor: str | None
    amount_minor: int
    currency: str
    data: JsonText


_REMEMBER = Statement(
    """
    INSERT INTO payment_events (:events.*)
    SELECT events.*
    FROM :events
    ON CONFLICT (order_id, event_id) DO NOTHING
    """,
    events=_EventRow,
)


async def remember(connection: Connection, events: Sequence[tuple[Envelope, PaymentEvent]]) -> None:
    """Keep each event once, in whatever order they come."""
    rows = [
        _EventRow(
            order_id=payment.order_id,
            event_id=event.id,
            type=event.type,
            time=event.time,
            actor=event.actor,
            amount_minor=payment.amount.minor(),
            currency=payment.amount.currency,
            data=bytes(event.data).decode(),
        )
        for event, payment in events
    ]
    await _REMEMBER.execute(connection, events=rows)


_REFUNDED = Statement(
    """
    SELECT order_id, currency, sum(amount_minor)::bigint AS refunded_minor
    FROM payment_events
    WHERE order_id = ANY (:order_ids) AND type = :type
    GROUP BY order_id, currency
    """
)


async def refunded(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Money]:
    """The sum of the refunds of each order, by id. An order without any is left out."""
    rows = await _REFUNDED.fetch(connection, order_ids=order_ids, type=REFUNDED)
    return {row["order_id"]: money(row["refunded_minor"], row["currency"]) for row in rows}


_HISTORY = Statement(
    """
    SELECT time, type, actor, data::text
    FROM payment_events
    WHERE order_id = :order_id
    ORDER BY time, event_id
    LIMIT :limit
    """
)


async def history(connection: Connection, order_id: UUID, limit: int = 200) -> list[Entry]:
    """What payments has said of an order, oldest first."""
    return [Entry(*row) for row in await _HISTORY.fetch(connection, order_id=order_id, limit=limit)]
