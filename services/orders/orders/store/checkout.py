"""The statements of the checkout: confirm, compensate, defer, and lease what is due."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from chassis.messaging import journal
from chassis.persistence.database import Connection, rows_affected
from orders import events
from orders.domain.order import Order, OrderConfirmed, Reason
from orders.store.orders import COLUMNS, encode_lines, encode_reason, order_of

_CONFIRM = """
    UPDATE orders
    SET status = 'confirmed', lines = new.lines::jsonb, currency = new.currency, total_minor = new.total_minor,
        confirmed_at = now(), last_trouble = NULL
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS new (id, lines, currency, total_minor)
    WHERE orders.id = new.id
      AND orders.status = 'pending'
      AND NOT coalesce((SELECT deleted FROM customers WHERE customers.user_id = orders.user_id), false)
    RETURNING orders.id, orders.confirmed_at
"""
# A replica of an earlier version leaves the lines of its orders in the cart. When such an order is confirmed here, its
# lines are deleted, except those that the customer put in or changed since.
_EMPTY_CARTS = """
    , emptied AS (
        DELETE FROM cart_items
        USING unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::integer[], $9::timestamptz[])
              AS bought (order_id, user_id, product_id, quantity, placed_at)
        JOIN changed ON changed.id = bought.order_id
        WHERE NOT EXISTS (SELECT FROM cart_purchases WHERE cart_purchases.order_id = bought.order_id)
          AND cart_items.user_id = bought.user_id
          AND cart_items.product_id = bought.product_id
          AND cart_items.quantity = bought.quantity
          AND cart_items.added_at <= bought.placed_at
    )
"""
_CONFIRM_WITH_EVENTS = journal.with_events(_CONFIRM, subject="id", parameters=4)
_CONFIRM_AND_EMPTY_CARTS = journal.with_events(_CONFIRM, subject="id", parameters=9, also=_EMPTY_CARTS)


async def confirm(
    connection: Connection, orders: Sequence[Order], domain_events: Sequence[OrderConfirmed]
) -> dict[UUID, Order]:
    """Store the confirmation of those orders that are still pending and whose account exists; return these by id.

    The pivot: state and events in one statement. An order that was placed while its account was deleted, and so was
    missed by `begin_compensation_of_users`, is left out here.
    """
    values = (
        [order.id for order in orders],
        [encode_lines(order.lines) for order in orders],
        [order.currency for order in orders],
        [order.total_minor for order in orders],
    )
    columns = journal.columns_of(events.journal_events(domain_events))
    # An order that another replica placed comes from the sweeper, which counts an attempt.
    maybe_left = [(order, line) for order in orders if order.from_cart and order.attempts for line in order.lines]
    if not maybe_left:
        rows = await connection.fetch(_CONFIRM_WITH_EVENTS, *values, *columns)
    else:
        rows = await connection.fetch(
            _CONFIRM_AND_EMPTY_CARTS,
            *values,
            [order.id for order, _ in maybe_left],
            [order.customer.id for order, _ in maybe_left],
            [line.product_id for _, line in maybe_left],
            [line.quantity for _, line in maybe_left],
            [order.created_at for order, _ in maybe_left],
            *columns,
        )
    times = {row["id"]: row["confirmed_at"] for row in rows}
    return {order.id: replace(order, confirmed_at=times[order.id]) for order in orders if order.id in times}


_BEGIN_COMPENSATION = """
    UPDATE orders
    SET status = 'cancelling', reason = new.reason::jsonb, next_attempt_at = now() + make_interval(secs => $3)
    FROM unnest($1::uuid[], $2::text[]) AS new (id, reason)
    WHERE orders.id = new.id AND orders.status = 'pending'
"""


async def begin_compensation(connection: Connection, orders: Sequence[Order], *, lease_s: float) -> None:
    """Store the beginning of the compensation of orders whose rows are locked, with a lease of `lease_s`."""
    if not orders:
        return
    status = await connection.execute(
        _BEGIN_COMPENSATION, [order.id for order in orders], [_reason_of(order) for order in orders], lease_s
    )
    assert rows_affected(status) == len(orders), "the rows are locked"


async def begin_compensation_of_users(connection: Connection, user_ids: Sequence[UUID], reason: Reason) -> None:
    """Begin the compensation of all pending orders of these users. A sweeper continues it at once."""
    await connection.execute(
        """
        UPDATE orders
        SET status = 'cancelling', reason = $2::jsonb, next_attempt_at = now()
        WHERE user_id = ANY($1::uuid[]) AND status = 'pending'
        """,
        user_ids,
        encode_reason(reason),
    )


_END = """
    UPDATE orders
    SET status = new.status, reason = new.reason::jsonb, ended_at = now()
    FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, status, reason)
    WHERE orders.id = new.id
      AND (orders.status = 'cancelling' OR orders.status = 'pending' AND orders.attempts = 0)
    RETURNING orders.id, orders.ended_at
"""


async def end(connection: Connection, orders: Sequence[Order]) -> dict[UUID, Order]:
    """Store the end of orders before their confirmation, whose rows are locked. Returns them by id."""
    if not orders:
        return {}
    rows = await connection.fetch(
        _END,
        [order.id for order in orders],
        [order.status.value for order in orders],
        [_reason_of(order) for order in orders],
    )
    times = {row["id"]: row["ended_at"] for row in rows}
    return {order.id: replace(order, ended_at=times[order.id]) for order in orders}


def _reason_of(order: Order) -> str:
    assert order.reason is not None, "an order is compensated for a reason"
    return encode_reason(order.reason)


async def defer(connection: Connection, deferrals: Sequence[tuple[UUID, float, str]]) -> None:
    """Retry orders after so many seconds. Operators see the text, the cause of the last failure."""
    await connection.execute(
        """
        UPDATE orders
        SET next_attempt_at = now() + make_interval(secs => new.delay_s), last_trouble = new.trouble
        FROM unnest($1::uuid[], $2::float8[], $3::text[]) AS new (id, delay_s, trouble)
        WHERE orders.id = new.id AND orders.status IN ('pending', 'cancelling')
        """,
        [order_id for order_id, _, _ in deferrals],
        [delay_s for _, delay_s, _ in deferrals],
        [trouble[:1_000] for _, _, trouble in deferrals],
    )


_LEASE_DUE = f"""
    UPDATE orders
    SET next_attempt_at = now() + make_interval(secs => $2), attempts = attempts + 1
    WHERE id IN (
        SELECT id
        FROM orders
        WHERE status IN ('pending', 'cancelling') AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING {COLUMNS}
"""  # noqa: S608


async def lease_due(connection: Connection, limit: int, *, lease_s: float) -> list[Order]:
    """Lease up to `limit` orders whose lease has run out, for `lease_s`. Rows locked by another replica are skipped."""
    return [order_of(row) for row in await connection.fetch(_LEASE_DUE, limit, lease_s)]


async def backlog(connection: Connection) -> tuple[int, float]:
    """The number of orders that have not ended, and the age of the oldest in seconds."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
        FROM orders
        WHERE status IN ('pending', 'cancelling')
        """
    )
    assert row is not None, "an aggregate returns a row"
    return row["waiting"], row["oldest_s"]
