"""The statements of the checkout: confirm, compensate, defer, and lease what is due."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.messaging.journal import JournaledChange
from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Json, Statement
from orders import events
from orders.domain.order import Order, OrderConfirmed, Reason, Status
from orders.store.orders import COLUMNS, encode_lines, encode_reason, order_of


@dataclass(slots=True)
class _ConfirmedRow:
    id: UUID
    lines: Json
    currency: str | None
    total_minor: int | None


@dataclass(slots=True)
class _BoughtRow:
    """A line that an order may have left in the cart."""

    order_id: UUID
    user_id: UUID
    product_id: UUID
    quantity: int
    placed_at: datetime


_CONFIRM_SQL = """
    UPDATE orders
    SET status = 'confirmed', lines = confirmed.lines, currency = confirmed.currency,
        total_minor = confirmed.total_minor, confirmed_at = now(), last_trouble = NULL
    FROM :confirmed
    WHERE orders.id = confirmed.id
      AND orders.status = 'pending'
      AND NOT coalesce((SELECT deleted FROM customers WHERE customers.user_id = orders.user_id), false)
    RETURNING orders.id, orders.confirmed_at
"""
_CONFIRM = JournaledChange(_CONFIRM_SQL, subject="id", confirmed=_ConfirmedRow)
# A replica of an earlier version leaves the lines of its orders in the cart. When such an order is confirmed here, its
# lines are deleted, except those that the customer put in or changed since.
_CONFIRM_AND_EMPTY_CARTS = JournaledChange(
    _CONFIRM_SQL,
    subject="id",
    also="""
    , emptied AS (
        DELETE FROM cart_items
        USING :bought
        JOIN changed ON changed.id = bought.order_id
        WHERE NOT EXISTS (SELECT FROM cart_purchases WHERE cart_purchases.order_id = bought.order_id)
          AND cart_items.user_id = bought.user_id
          AND cart_items.product_id = bought.product_id
          AND cart_items.quantity = bought.quantity
          AND cart_items.added_at <= bought.placed_at
    )
    """,
    confirmed=_ConfirmedRow,
    bought=_BoughtRow,
)


async def confirm(
    connection: Connection, orders: Sequence[Order], domain_events: Sequence[OrderConfirmed]
) -> dict[UUID, Order]:
    """Store the confirmation of those orders that are still pending and whose account exists; return these by id.

    The pivot: state and events in one statement. An order that was placed while its account was deleted, and so was
    missed by `begin_compensation_of_users`, is left out here.
    """
    confirmed = [
        _ConfirmedRow(
            id=order.id, lines=encode_lines(order.lines), currency=order.currency, total_minor=order.total_minor
        )
        for order in orders
    ]
    # An order that another replica placed comes from the sweeper, which counts an attempt.
    bought = [
        _BoughtRow(
            order_id=order.id,
            user_id=order.customer.id,
            product_id=line.product_id,
            quantity=line.quantity,
            placed_at=order.created_at,
        )
        for order in orders
        if order.from_cart and order.attempts
        for line in order.lines
    ]
    journal_events = events.journal_events(domain_events)
    if not bought:
        rows = await _CONFIRM.fetch(connection, confirmed=confirmed, events=journal_events)
    else:
        rows = await _CONFIRM_AND_EMPTY_CARTS.fetch(
            connection, confirmed=confirmed, bought=bought, events=journal_events
        )
    times = {row["id"]: row["confirmed_at"] for row in rows}
    return {order.id: replace(order, confirmed_at=times[order.id]) for order in orders if order.id in times}


@dataclass(slots=True)
class _CompensationRow:
    id: UUID
    reason: Json


_BEGIN_COMPENSATION = Statement(
    """
    UPDATE orders
    SET status = 'cancelling', reason = compensations.reason, next_attempt_at = now() + make_interval(secs => :lease_s)
    FROM :compensations
    WHERE orders.id = compensations.id AND orders.status = 'pending'
    """,
    compensations=_CompensationRow,
)


async def begin_compensation(connection: Connection, orders: Sequence[Order], *, lease_s: float) -> None:
    """Store the beginning of the compensation of orders whose rows are locked, with a lease of `lease_s`."""
    if not orders:
        return
    compensations = [_CompensationRow(id=order.id, reason=_reason_of(order)) for order in orders]
    status = await _BEGIN_COMPENSATION.execute(connection, compensations=compensations, lease_s=lease_s)
    assert rows_affected(status) == len(orders), "the rows are locked"


_BEGIN_COMPENSATION_OF_USERS = Statement(
    """
    UPDATE orders
    SET status = 'cancelling', reason = :reason::jsonb, next_attempt_at = now()
    WHERE user_id = ANY (:user_ids) AND status = 'pending'
    """
)


async def begin_compensation_of_users(connection: Connection, user_ids: Sequence[UUID], reason: Reason) -> None:
    """Begin the compensation of all pending orders of these users. A sweeper continues it at once."""
    await _BEGIN_COMPENSATION_OF_USERS.execute(connection, user_ids=user_ids, reason=encode_reason(reason))


@dataclass(slots=True)
class _EndRow:
    id: UUID
    status: Status
    reason: Json


_END = Statement(
    """
    UPDATE orders
    SET status = ended.status, reason = ended.reason, ended_at = now()
    FROM :ended
    WHERE orders.id = ended.id
      AND (orders.status = 'cancelling' OR orders.status = 'pending' AND orders.attempts = 0)
    RETURNING orders.id, orders.ended_at
    """,
    ended=_EndRow,
)


async def end(connection: Connection, orders: Sequence[Order]) -> dict[UUID, Order]:
    """Store the end of orders before their confirmation, whose rows are locked. Returns them by id."""
    if not orders:
        return {}
    ended = [_EndRow(id=order.id, status=order.status, reason=_reason_of(order)) for order in orders]
    rows = await _END.fetch(connection, ended=ended)
    times = {row["id"]: row["ended_at"] for row in rows}
    return {order.id: replace(order, ended_at=times[order.id]) for order in orders}


def _reason_of(order: Order) -> str:
    assert order.reason is not None, "an order is compensated for a reason"
    return encode_reason(order.reason)


@dataclass(slots=True)
class _DeferralRow:
    id: UUID
    delay_s: float
    trouble: str


_DEFER = Statement(
    """
    UPDATE orders
    SET next_attempt_at = now() + make_interval(secs => deferrals.delay_s), last_trouble = deferrals.trouble
    FROM :deferrals
    WHERE orders.id = deferrals.id AND orders.status IN ('pending', 'cancelling')
    """,
    deferrals=_DeferralRow,
)


async def defer(connection: Connection, deferrals: Sequence[tuple[UUID, float, str]]) -> None:
    """Retry orders after so many seconds. Operators see the text, the cause of the last failure."""
    rows = [
        _DeferralRow(id=order_id, delay_s=delay_s, trouble=trouble[:1_000]) for order_id, delay_s, trouble in deferrals
    ]
    await _DEFER.execute(connection, deferrals=rows)


_LEASE_DUE = Statement(
    f"""
    UPDATE orders
    SET next_attempt_at = now() + make_interval(secs => :lease_s), attempts = attempts + 1
    WHERE id IN (
        SELECT id
        FROM orders
        WHERE status IN ('pending', 'cancelling') AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    RETURNING {COLUMNS}
    """  # noqa: S608
)


async def lease_due(connection: Connection, limit: int, *, lease_s: float) -> list[Order]:
    """Lease up to `limit` orders whose lease has run out, for `lease_s`. Rows locked by another replica are skipped."""
    return [order_of(row) for row in await _LEASE_DUE.fetch(connection, limit=limit, lease_s=lease_s)]


_BACKLOG = Statement(
    """
    SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
    FROM orders
    WHERE status IN ('pending', 'cancelling')
    """
)


async def backlog(connection: Connection) -> tuple[int, float]:
    """The number of orders that have not ended, and the age of the oldest in seconds."""
    row = await _BACKLOG.fetchrow(connection)
    assert row is not None, "an aggregate returns a row"
    return row["waiting"], row["oldest_s"]
