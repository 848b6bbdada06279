"""The statements about orders that are on their way for too long: for operators, and not on the way of a purchase."""

from uuid import UUID

from chassis.persistence.database import Connection, rows_affected
from orders.domain.order import StuckOrder


async def make_due(connection: Connection, order_id: UUID) -> bool:
    """Have an order that is on its way taken up at once; False when it is on its way no more."""
    status = await connection.execute(
        "UPDATE orders SET next_attempt_at = now() WHERE id = $1 AND status IN ('pending', 'cancelling')", order_id
    )
    return rows_affected(status) == 1


async def read_stuck(connection: Connection, older_than_s: float, after: UUID | None, limit: int) -> list[StuckOrder]:
    """Orders that have been on their way for longer, oldest first, with what holds them up."""
    rows = await connection.fetch(
        """
        SELECT id, status, extract(epoch FROM now() - created_at)::float8 AS age_s, attempts, deadline_at,
               next_attempt_at, last_trouble
        FROM orders
        WHERE status IN ('pending', 'cancelling')
          AND created_at <= now() - make_interval(secs => $1)
          AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id
        LIMIT $3
        """,
        older_than_s,
        after,
        limit,
    )
    return [StuckOrder(*row) for row in rows]
