"""Every SQL statement about orders. Each function works within the transaction of the connection that it is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from chassis import actor, context
from chassis.messaging import journal
from chassis.messaging.journal import Event
from chassis.persistence.database import Connection, Row
from orders import messages, store_carts
from orders.messages import ReasonView, total_of, view_of
from orders.order import Customer, Line, Order, Reason, Status


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order that is about to be placed. `fingerprint` tells whether a repeated request is the same."""

    id: UUID
    user_id: UUID
    lines: tuple[Line, ...]
    payment_method: str | None
    expected_total_minor: int | None
    expected_currency: str | None
    from_cart: bool
    answer_later: bool
    idempotency_key: str | None
    fingerprint: bytes
    correlation_id: str
    traceparent: str | None


_CHECKOUT = actor.service("orders")
_COLUMNS = """
    id, user_id, customer_name, customer_email, lines, payment_method, expected_total_minor, expected_currency,
    from_cart, answer_later, currency, total_minor, status, reason, correlation_id, traceparent, created_at,
    deadline_at, attempts, confirmed_at, ended_at
"""


class _LineRow(msgspec.Struct, omit_defaults=True):
    product_id: UUID
    quantity: int
    name: str | None = None
    unit_price_minor: int | None = None


class _ReasonRow(msgspec.Struct):
    code: str
    detail: str
    ends_as: Status
    extras: dict[str, object]
    actor: str | None = None


_decode_lines = msgspec.json.Decoder(list[_LineRow]).decode
_decode_reason = msgspec.json.Decoder(_ReasonRow).decode


def _encode_lines(lines: Sequence[Line]) -> str:
    rows = [_LineRow(line.product_id, line.quantity, line.name, line.unit_price_minor) for line in lines]
    return msgspec.json.encode(rows).decode()


def _encode_reason(reason: Reason) -> str:
    row = _ReasonRow(reason.code, reason.detail, reason.ends_as, dict(reason.extras), reason.actor)
    return msgspec.json.encode(row).decode()


def _order(row: Row) -> Order:
    reason = None if row["reason"] is None else _decode_reason(row["reason"])
    return Order(
        id=row["id"],
        customer=Customer(row["user_id"], row["customer_name"], row["customer_email"]),
        lines=tuple(
            Line(line.product_id, line.quantity, line.name, line.unit_price_minor)
            for line in _decode_lines(row["lines"])
        ),
        status=Status(row["status"]),
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
        created_at=row["created_at"],
        deadline_at=row["deadline_at"],
        payment_method=row["payment_method"],
        expected_total_minor=row["expected_total_minor"],
        expected_currency=row["expected_currency"],
        from_cart=row["from_cart"],
        answer_later=row["answer_later"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        reason=None
        if reason is None
        else Reason(reason.code, reason.detail, reason.ends_as, reason.extras, reason.actor),
        attempts=row["attempts"],
        confirmed_at=row["confirmed_at"],
        ended_at=row["ended_at"],
    )


# --- Placing

_INSERT = """
    INSERT INTO orders (
        id, user_id, customer_name, customer_email, lines, payment_method, expected_total_minor, expected_currency,
        from_cart, answer_later, idempotency_key, fingerprint, correlation_id, traceparent, deadline_at, next_attempt_at
    )
    SELECT id, user_id, name, email, lines::jsonb, payment_method, expected_total_minor, expected_currency,
           from_cart, answer_later, idempotency_key, fingerprint, correlation_id, traceparent,
           now() + make_interval(secs => $16), now() + make_interval(secs => $15)
    FROM unnest(
             $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
             $9::boolean[], $10::boolean[], $11::text[], $12::bytea[], $13::text[], $14::text[]
         ) AS new (
             id, user_id, name, email, lines, payment_method, expected_total_minor, expected_currency,
             from_cart, answer_later, idempotency_key, fingerprint, correlation_id, traceparent
         )
    ON CONFLICT DO NOTHING
    RETURNING id, created_at, deadline_at
"""
_PLACE = journal.with_events(_INSERT, subject="id", parameters=16)


async def insert(
    connection: Connection,
    orders: Sequence[tuple[NewOrder, Customer]],
    *,
    lease_s: float,
    deadline_s: float,
) -> dict[UUID, Order]:
    """Insert what is new, with its event, and answer it by id. What conflicts (id or key) is left out."""
    rows = await connection.fetch(
        _PLACE,
        [new.id for new, _ in orders],
        [new.user_id for new, _ in orders],
        [customer.name for _, customer in orders],
        [customer.email for _, customer in orders],
        [_encode_lines(new.lines) for new, _ in orders],
        [new.payment_method for new, _ in orders],
        [new.expected_total_minor for new, _ in orders],
        [new.expected_currency for new, _ in orders],
        [new.from_cart for new, _ in orders],
        [new.answer_later for new, _ in orders],
        [new.idempotency_key for new, _ in orders],
        [new.fingerprint for new, _ in orders],
        [new.correlation_id for new, _ in orders],
        [new.traceparent for new, _ in orders],
        lease_s,
        deadline_s,
        *journal.columns_of([_placed(new, customer) for new, customer in orders]),
    )
    times = {row["id"]: (row["created_at"], row["deadline_at"]) for row in rows}
    return {new.id: _as_placed(new, customer, *times[new.id]) for new, customer in orders if new.id in times}


def _as_placed(new: NewOrder, customer: Customer, created_at: datetime, deadline_at: datetime) -> Order:
    return Order(
        id=new.id,
        customer=customer,
        lines=new.lines,
        status=Status.PENDING,
        correlation_id=new.correlation_id,
        traceparent=new.traceparent,
        created_at=created_at,
        deadline_at=deadline_at,
        payment_method=new.payment_method,
        expected_total_minor=new.expected_total_minor,
        expected_currency=new.expected_currency,
        from_cart=new.from_cart,
        answer_later=new.answer_later,
    )


def _placed(new: NewOrder, customer: Customer) -> Event:
    return _event(
        new,
        "order.placed",
        messages.OrderPlaced(
            order_id=new.id,
            user_id=customer.id,
            name=customer.name,
            email=customer.email,
            items=[messages.OrderedItem(line.product_id, line.quantity) for line in new.lines],
        ),
        actor.user(customer.id),
    )


async def by_ids(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM orders WHERE id = ANY($1::uuid[])", order_ids)  # noqa: S608
    return {row["id"]: _order(row) for row in rows}


async def by_key(connection: Connection, user_id: UUID, key: str) -> tuple[Order, bytes] | None:
    """The order that was placed with that key, and the fingerprint of its request."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, fingerprint FROM orders WHERE user_id = $1 AND idempotency_key = $2",  # noqa: S608
        user_id,
        key,
    )
    return None if row is None else (_order(row), row["fingerprint"])


# --- The saga's record

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
        [_encode_lines(order.lines) for order in orders],
        [order.currency for order in orders],
        [order.total_minor for order in orders],
    )
    events = journal.columns_of([_confirmed(order) for order in orders])
    # What was placed by another replica comes here by the sweeper, which counts that as an attempt.
    maybe_left = [(order, line) for order in orders if order.from_cart and order.attempts for line in order.lines]
    if not maybe_left:
        rows = await connection.fetch(_CONFIRM_WITH_EVENTS, *values, *events)
    else:
        rows = await connection.fetch(
            _CONFIRM_AND_EMPTY_CARTS,
            *values,
            [order.id for order, _ in maybe_left],
            [order.customer.id for order, _ in maybe_left],
            [line.product_id for _, line in maybe_left],
            [line.quantity for _, line in maybe_left],
            [order.created_at for order, _ in maybe_left],
            *events,
        )
    return {row["id"]: row["confirmed_at"] for row in rows}


def _confirmed(order: Order) -> Event:
    view, total = view_of(order), total_of(order)
    assert total is not None, "a confirmed order has a total"
    data = messages.OrderConfirmed(
        order_id=order.id,
        user_id=order.customer.id,
        name=order.customer.name,
        email=order.customer.email,
        items=view.items,
        total=total,
    )
    # The saga carries out what the customer asked for, in whichever process.
    return _event(order, "order.confirmed", data, actor.user(order.customer.id))


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
        [_encode_reason(reason) for _, reason in turns],
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
        _encode_reason(reason),
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
        ids, reasons = [order.id for order, _ in at_once], [_encode_reason(reason) for _, reason in at_once]
        ended |= {row["id"] for row in await connection.fetch(_END_AT_ONCE, ids, reasons)}
    if undone:
        ended |= {row["id"] for row in await connection.fetch(_END_UNDONE, [order.id for order in undone])}
    now = await reread(connection, [order for order, _ in ends])
    events = [_cancelled(order, is_awaited=is_awaited(order.id)) for order in now if order.id in ended]
    await journal.append(connection, events)
    await store_carts.give_back(connection, [order for order in now if order.id in ended])
    return now


def _cancelled(order: Order, *, was_confirmed: bool = False, is_awaited: bool = False) -> Event:
    assert order.reason is not None, "an order ends for a reason"
    data = messages.OrderCancelled(
        order_id=order.id,
        user_id=order.customer.id,
        name=order.customer.name,
        email=order.customer.email,
        status="refused" if order.status is Status.REFUSED else "cancelled",
        was_confirmed=was_confirmed,
        told=is_awaited and order.status is Status.REFUSED,
        reason=ReasonView(order.reason.code, order.reason.detail),
        total=total_of(order),
    )
    return _event(order, "order.cancelled", data, order.reason.actor or _CHECKOUT)


async def reread(connection: Connection, orders: Sequence[Order]) -> list[Order]:
    """The orders as they now stand, in the same order."""
    now = await by_ids(connection, [order.id for order in orders])
    return [now[order.id] for order in orders]


async def as_settled(connection: Connection, order: Order) -> Order:
    """The order as it stands once what is being committed about it is committed."""
    await connection.execute("SELECT FROM orders WHERE id = $1 FOR SHARE", order.id)
    (now,) = await reread(connection, [order])
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
    RETURNING {_COLUMNS}
"""  # noqa: S608


async def lease_due(connection: Connection, limit: int, *, lease_s: float) -> list[Order]:
    """Take up to `limit` orders whose lease has run out, for `lease_s`. Replicas pass over each other's."""
    return [_order(row) for row in await connection.fetch(_LEASE_DUE, limit, lease_s)]


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


# --- After the pivot


async def cancel_confirmed(connection: Connection, order: Order, reason: Reason) -> Order:
    """Cancel an order after its confirmation: stock and money come back by the event. Answers it as it now stands."""
    status = await connection.fetchval(
        """
        UPDATE orders
        SET status = 'cancelled', reason = $2::jsonb, ended_at = now()
        WHERE id = $1 AND status = 'confirmed'
        RETURNING status
        """,
        order.id,
        _encode_reason(reason),
    )
    (now,) = await reread(connection, [order])
    if status is not None:
        await journal.append(connection, [_cancelled(now, was_confirmed=True)])
    return now


async def ship(connection: Connection, order: Order) -> Order:
    """Mark a confirmed order as shipped, with its event. Answers it as it now stands."""
    status = await connection.fetchval(
        "UPDATE orders SET status = 'shipped' WHERE id = $1 AND status = 'confirmed' RETURNING status", order.id
    )
    (now,) = await reread(connection, [order])
    if status is not None:
        data = messages.OrderShipped(now.id, now.customer.id, now.customer.name, now.customer.email)
        await journal.append(connection, [_event(now, "order.shipped", data, context.actor())])
    return now


# --- Reading


async def by_id(connection: Connection, order_id: UUID) -> Order | None:
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM orders WHERE id = $1", order_id)  # noqa: S608
    return None if row is None else _order(row)


_HISTORY = f"""
    SELECT {_COLUMNS}
    FROM orders
    WHERE user_id = $1
      AND id < $2
      AND (CASE WHEN $3::text IS NULL THEN status <> 'refused' ELSE status = $3 END)
    ORDER BY id DESC
    LIMIT $4
"""  # noqa: S608


async def history(
    connection: Connection, user_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[Order]:
    """A user's orders, newest first. Those refused before they were accepted are left out unless asked for."""
    # Always a bound: with `$2 IS NULL OR ...` the prepared plan would walk to a late page from the first row.
    rows = await connection.fetch(_HISTORY, user_id, before or UUID(int=2**128 - 1), status, limit)
    return [_order(row) for row in rows]


def _event(order: Order | NewOrder, type_: str, data: msgspec.Struct, by: str | None) -> Event:
    return Event(
        type=type_,
        subject=str(order.id),
        data=data,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
        actor=by,
    )
