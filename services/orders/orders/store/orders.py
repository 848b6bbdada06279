"""The statements about single orders: place, read, cancel after the confirmation, ship."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from chassis.messaging import journal
from chassis.persistence.database import Connection, Row, rows_affected
from orders import events
from orders.domain.order import Customer, Line, NewOrder, Order, OrderPlaced, Reason, Status

COLUMNS = """
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


def encode_lines(lines: Sequence[Line]) -> str:
    rows = [_LineRow(line.product_id, line.quantity, line.name, line.unit_price_minor) for line in lines]
    return msgspec.json.encode(rows).decode()


def encode_reason(reason: Reason) -> str:
    row = _ReasonRow(reason.code, reason.detail, reason.ends_as, dict(reason.extras), reason.actor)
    return msgspec.json.encode(row).decode()


def order_of(row: Row) -> Order:
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
        [encode_lines(new.lines) for new, _ in orders],
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
        *journal.columns_of(events.journal_events([OrderPlaced(new, customer) for new, customer in orders])),
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


async def by_ids(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    rows = await connection.fetch(f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1::uuid[])", order_ids)  # noqa: S608
    return {row["id"]: order_of(row) for row in rows}


# In the order of the ids, so that two replicas do not wait for each other.
_LOCK = f"SELECT {COLUMNS} FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608


async def lock(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """The orders by id, with their rows locked until the end of the transaction. Unknown ones are left out."""
    return {row["id"]: order_of(row) for row in await connection.fetch(_LOCK, order_ids)}


async def reread(connection: Connection, orders: Sequence[Order]) -> list[Order]:
    """The current state of the orders, in the same order."""
    current = await by_ids(connection, [order.id for order in orders])
    return [current[order.id] for order in orders]


async def as_settled(connection: Connection, order: Order) -> Order:
    """The state of the order after the commit of a transaction that changes it now."""
    await connection.execute("SELECT FROM orders WHERE id = $1 FOR SHARE", order.id)
    (current,) = await reread(connection, [order])
    return current


async def by_key(connection: Connection, user_id: UUID, key: str) -> tuple[Order, bytes] | None:
    """The order that was placed with that key, and the fingerprint of its request."""
    row = await connection.fetchrow(
        f"SELECT {COLUMNS}, fingerprint FROM orders WHERE user_id = $1 AND idempotency_key = $2",  # noqa: S608
        user_id,
        key,
    )
    return None if row is None else (order_of(row), row["fingerprint"])


# --- After the pivot


async def cancel(connection: Connection, order: Order) -> Order:
    """Store the cancellation of a confirmed order, whose row is locked."""
    ended_at = await connection.fetchval(
        """
        UPDATE orders
        SET status = 'cancelled', reason = $2::jsonb, ended_at = now()
        WHERE id = $1 AND status = 'confirmed'
        RETURNING ended_at
        """,
        order.id,
        None if order.reason is None else encode_reason(order.reason),
    )
    assert ended_at is not None, "the row is locked"
    return replace(order, ended_at=ended_at)


async def ship(connection: Connection, order: Order) -> None:
    """Store the shipment of a confirmed order, whose row is locked."""
    status = await connection.execute(
        "UPDATE orders SET status = 'shipped' WHERE id = $1 AND status = 'confirmed'", order.id
    )
    assert rows_affected(status) == 1, "the row is locked"


# --- Reading


async def by_id(connection: Connection, order_id: UUID) -> Order | None:
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM orders WHERE id = $1", order_id)  # noqa: S608
    return None if row is None else order_of(row)


_HISTORY = f"""
    SELECT {COLUMNS}
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
    return [order_of(row) for row in rows]
