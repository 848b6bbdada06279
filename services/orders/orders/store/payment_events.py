"""Every SQL statement about what payments has said of orders. The truth about money is in payments; this is a copy."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.messaging.envelope import Envelope
from chassis.persistence.database import Connection
from chassis.values.money import Money, money
from orders.consumed_events import PaymentEvent

VOIDED, REFUNDED = "payment.voided", "payment.refunded"


class Entry(msgspec.Struct, frozen=True):
    """An event of payments, as the timeline shows it. `data` is the JSON text."""

    time: datetime
    type: str
    actor: str | None
    data: str


async def remember(connection: Connection, events: Sequence[tuple[Envelope, PaymentEvent]]) -> None:
    """Keep each event once, in whatever order they come."""
    await connection.execute(
        """
        INSERT INTO payment_events (order_id, event_id, type, time, actor, amount_minor, currency, data)
        SELECT order_id, event_id, type, time, actor, amount_minor, currency, data::json
        FROM unnest(
                 $1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::bigint[], $7::text[], $8::text[]
             ) AS event (order_id, event_id, type, time, actor, amount_minor, currency, data)
        ON CONFLICT (order_id, event_id) DO NOTHING
        """,
        [told.order_id for _, told in events],
        [event.id for event, _ in events],
        [event.type for event, _ in events],
        [event.time for event, _ in events],
        [event.actor for event, _ in events],
        [told.amount.minor() for _, told in events],
        [told.amount.currency for _, told in events],
        [bytes(event.data).decode() for event, _ in events],
    )


async def refunded(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Money]:
    """The sum of the refunds of each order, by id. An order without any is left out."""
    rows = await connection.fetch(
        """
        SELECT order_id, currency, sum(amount_minor)::bigint AS refunded_minor
        FROM payment_events
        WHERE order_id = ANY($1::uuid[]) AND type = $2
        GROUP BY order_id, currency
        """,
        order_ids,
        REFUNDED,
    )
    return {row["order_id"]: money(row["refunded_minor"], row["currency"]) for row in rows}


async def history(connection: Connection, order_id: UUID, limit: int = 200) -> list[Entry]:
    """What payments has said of an order, oldest first."""
    rows = await connection.fetch(
        """
        SELECT time, type, actor, data::text
        FROM payment_events
        WHERE order_id = $1
        ORDER BY time, event_id
        LIMIT $2
        """,
        order_id,
        limit,
    )
    return [Entry(*row) for row in rows]
