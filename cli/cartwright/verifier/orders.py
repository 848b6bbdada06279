"""All orders, each with what the other services hold for it: one walk over four databases at once.

What is checked order by order needs no sums that would have to be taken of two databases at the same moment, and it
names the order that is wrong.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from cartwright.verifier.snapshots import Row, Snapshots, side_by_side

# The age is that of the last change which others have to follow.
_ORDERS = """
    SELECT id, status, confirmed_at IS NOT NULL AS was_confirmed, currency, total_minor, md5(lines::text) AS lines,
           extract(epoch FROM now() - coalesce(ended_at, confirmed_at, created_at))::float8 AS age_s
    FROM orders
    ORDER BY id
"""
_RESERVATIONS = """
    SELECT order_id, state, currency, total_minor, lines = '[]' AS is_empty, md5(lines::text) AS lines,
           extract(epoch FROM now() - coalesce(settled_at, reserved_at))::float8 AS age_s
    FROM reservations
    ORDER BY order_id
"""
# A refund that no person asked for follows a cancellation.
_PAYMENTS = """
    SELECT payments.order_id, payments.id, payments.user_id, payments.state, payments.amount_minor, payments.currency,
           coalesce(given.minor, 0)::bigint AS given_back_minor,
           coalesce(given.for_cancellation_minor, 0)::bigint AS given_for_cancellation_minor,
           coalesce(given.refunds, '{}') AS refunds,
           extract(epoch FROM now() - payments.created_at)::float8 AS age_s
    FROM payments
    LEFT JOIN (
        SELECT payment_id, sum(amount_minor) AS minor,
               array_agg(format('%s %s %s', id, amount_minor, currency)) AS refunds,
               sum(amount_minor) FILTER (WHERE NOT is_requested) AS for_cancellation_minor
        FROM refunds
        WHERE state = 'done'
        GROUP BY payment_id
    ) AS given ON given.payment_id = payments.id
    ORDER BY payments.order_id
"""
# The sums are those that the text states; those of a cancellation are there once it was sent.
_NOTIFICATIONS = """
    SELECT order_id, kind, subject_key, amounts ->> 'currency' AS currency,
           (amounts ->> 'total')::bigint AS total_minor, (amounts ->> 'refund')::bigint AS refund_minor,
           (amounts ->> 'charged')::bigint AS charged_minor, (amounts ->> 'refunded')::bigint AS refunded_minor,
           (amounts ->> 'refund_pending')::bigint AS refund_pending_minor,
           extract(epoch FROM now() - created_at)::float8 AS age_s
    FROM notifications
    WHERE order_id IS NOT NULL
    ORDER BY order_id
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One order, and what is held for it. `order` is None where only others have heard of it."""

    id: UUID
    order: Row | None
    reservations: list[Row]
    payments: list[Row]
    letters: list[Row]

    @property
    def status(self) -> str | None:
        return None if self.order is None else self.order["status"]

    @property
    def is_bought(self) -> bool:
        return self.status in {"confirmed", "shipped"}

    @property
    def came_to_nothing(self) -> bool:
        return self.status in {"cancelled", "refused"}

    @property
    def age_s(self) -> float:
        """How long others have had to follow the order; with no order, how long they have held something for it."""
        if self.order is not None:
            return float(self.order["age_s"])
        return max(float(row["age_s"]) for row in (*self.reservations, *self.payments, *self.letters))


async def every_order(snapshots: Snapshots) -> AsyncIterator[Case]:
    """In the order of their ids, within a snapshot."""
    streams = {
        "orders": snapshots.stream("orders", _ORDERS),
        "reservations": snapshots.stream("catalog", _RESERVATIONS),
        "payments": snapshots.stream("payments", _PAYMENTS),
        "letters": snapshots.stream("notifications", _NOTIFICATIONS),
    }
    async for order_id, found in side_by_side(streams):
        order = found["orders"][0] if found["orders"] else None
        yield Case(order_id, order, found["reservations"], found["payments"], found["letters"])
