"""The statements of the checkout: confirm, compensate, defer, and lease what is due."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from chassis.messaging import journal
from chassis.persistence.database import Connection
from orders import events
from orders.domain.order import Order, Reason
from orders.store import carts
from orders.store.orders import COLUMNS, encode_lines, encode_reason, order_of, reread

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
# An older replica leaves the lines of its orders in the cart. Where such an order is taken up and confirmed here, they
# leave it now, but for what was put in or changed since.
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


async def confirm(connection: Connection, orders: Sequence[Order]) -> dict[UUID, datetime]:
    """Confirm those that are still pending and whose account is not deleted; answer when, by id.

    The pivot: state and event in one statement. An order that was placed just as its account was deleted, and so
    escaped `turn_round_of`, is refused here.
    """
    values = (
        [order.id for order in orders],
        [encode_lines(order.lines) for order in orders],
        [order.currency for order in orders],
        [order.total_minor for order in orders],
    )
    columns = journal.columns_of([events.order_confirmed(order) for order in orders])
    # What was placed by another replica comes here by the sweeper, which counts that as an attempt.
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
    return {row["id"]: row["confirmed_at"] for row in rows}


_TURN_ROUND = """
    UPDATE orders
    SET status = 'cancelling', reason = new.reason::jsonb, next_attempt_at = now() + make_interval(secs => $3)
    FROM unnest($1::uuid[], $2::text[]) AS new (id, reason)
    WHERE orders.id = new.id AND orders.status = 'pending'
"""


async def turn_round(connection: Connection, turns: Sequence[tuple[Order, Reason]], *, lease_s: float) -> list[Order]:
    """Have pending orders cancelled from here on; answer all as they now stand."""
    await connection.execute(
        _TURN_ROUND,
        [order.id for order, _ in turns],
        [encode_reason(reason) for _, reason in turns],
        lease_s,
    )
    return await reread(connection, [order for order, _ in turns])


async def turn_round_of(connection: Connection, user_ids: Sequence[UUID], reason: Reason) -> None:
    """Have all pending orders of these customers cancelled from here on. A sweeper takes them up at once."""
    await connection.execute(
        """
        UPDATE orders
        SET status = 'cancelling', reason = $2::jsonb, next_attempt_at = now()
        WHERE user_id = ANY($1::uuid[]) AND status = 'pending'
        """,
        user_ids,
        encode_reason(reason),
    )


_END_AT_ONCE = """
    UPDATE orders
    SET status = new.reason::jsonb ->> 'ends_as', reason = new.reason::jsonb, ended_at = now()
    FROM unnest($1::uuid[], $2::text[]) AS new (id, reason)
    WHERE orders.id = new.id AND orders.status = 'pending' AND orders.attempts = 0
    RETURNING orders.id
"""
_END_UNDONE = """
    UPDATE orders
    SET status = reason ->> 'ends_as', ended_at = now()
    WHERE id = ANY($1::uuid[]) AND status = 'cancelling'
    RETURNING id
"""


async def end_undone(
    connection: Connection, ends: Sequence[tuple[Order, Reason | None]], is_awaited: Callable[[UUID], bool]
) -> list[Order]:
    """End orders of which nothing is left, with their events: those with a reason from pending, the others from
    cancelling. One that somebody else has taken up since is not ended at once. A cart that was taken is given back
    unless its customer has changed it. Answers all as they now stand.

    `is_awaited` is asked while the rows are locked: a purchase that has ceased to wait by then gets a mail, and one
    that ceases later waits in `as_settled` for this commit, and is answered the end.
    """
    at_once = [(order, reason) for order, reason in ends if reason is not None]
    undone = [order for order, reason in ends if reason is None]
    ended: set[UUID] = set()
    if at_once:
        ids, reasons = [order.id for order, _ in at_once], [encode_reason(reason) for _, reason in at_once]
        ended |= {row["id"] for row in await connection.fetch(_END_AT_ONCE, ids, reasons)}
    if undone:
        ended |= {row["id"] for row in await connection.fetch(_END_UNDONE, [order.id for order in undone])}
    now = await reread(connection, [order for order, _ in ends])
    cancelled = [events.order_cancelled(order, is_awaited=is_awaited(order.id)) for order in now if order.id in ended]
    await journal.append(connection, cancelled)
    await carts.give_back(connection, [order for order in now if order.id in ended])
    return now


async def put_off(connection: Connection, delays: Sequence[tuple[UUID, float, str]]) -> None:
    """Have orders tried again after so many seconds, with what the trouble is for those who look."""
    await connection.execute(
        """
        UPDATE orders
        SET next_attempt_at = now() + make_interval(secs => new.delay_s), last_trouble = new.trouble
        FROM unnest($1::uuid[], $2::float8[], $3::text[]) AS new (id, delay_s, trouble)
        WHERE orders.id = new.id AND orders.status IN ('pending', 'cancelling')
        """,
        [order_id for order_id, _, _ in delays],
        [delay_s for _, delay_s, _ in delays],
        [trouble[:1_000] for _, _, trouble in delays],
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
    """Take up to `limit` orders whose lease has run out, for `lease_s`. Replicas pass over each other's."""
    return [order_of(row) for row in await connection.fetch(_LEASE_DUE, limit, lease_s)]


async def backlog(connection: Connection) -> tuple[int, float]:
    """How many orders are on their way, and the age of the oldest in seconds."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
        FROM orders
        WHERE status IN ('pending', 'cancelling')
        """
    )
    assert row is not None, "an aggregate answers a row"
    return row["waiting"], row["oldest_s"]
