"""The statements about orders that are on their way for too long: for operators, and not on the way of a purchase."""

from uuid import UUID

from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Statement
from orders.domain.order import StuckOrder

_MAKE_DUE = Statement(
    "UPDATE orders SET next_attempt_at = now() WHERE id = :order_id AND status IN ('pending', 'cancelling')"
)


async def make_due(connection: Connection, order_id: UUID) -> bool:
    """Have an order that is on its way taken up at once; False when it is on its way no more."""
    return rows_affected(await _MAKE_DUE.execute(connection, order_id=order_id)) == 1


_READ_STUCK = Statement(
    """
    SELECT id, status, extract(epoch FROM now() - created_at)::float8 AS age_s, attempts, deadline_at,
           next_attempt_at, last_trouble
    FROM orders
    WHERE status IN ('pending', 'cancelling')
      AND created_at <= now() - make_interval(secs => :older_than_s)
      AND (:after::uuid IS NULL OR id > :after)
    ORDER BY id
    LIMIT :limit
    """
)


async def read_stuck(connection: Connection, older_than_s: float, after: UUID | None, limit: int) -> list[StuckOrder]:
    """Orders that have been on their way for longer, oldest first, with what holds them up."""
    rows = await _READ_STUCK.fetch(connection, older_than_s=older_than_s, after=after, limit=limit)
    return [StuckOrder(*row) for row in rows]
