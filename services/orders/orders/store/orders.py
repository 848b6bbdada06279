"""The statements about single orders: place, read, cancel after the confirmation, ship.

The columns that are read are the fields of `Order`, with its customer in three columns. The classes of rows that are
written are not frozen, since a frozen one takes more than twice as long to make.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

import msgspec

from chassis.messaging.journal import JournaledChange
from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Json, Statement
from orders import events
from orders.domain.order import Customer, Line, NewOrder, Order, OrderPlaced, Reason, Status

_FIELDS = [field.name for field in fields(Order)]
COLUMNS = ", ".join(_FIELDS).replace("customer", "user_id, customer_name, customer_email")
"""The fields of `Order` in their order. The customer has three columns."""
_AFTER_STATUS = _FIELDS[_FIELDS.index("status") + 1 :]
_REASON = _AFTER_STATUS.index("reason")


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


_encode = msgspec.json.Encoder().encode
_decode_lines = msgspec.json.Decoder(list[_LineRow]).decode
_decode_reason = msgspec.json.Decoder(_ReasonRow).decode


def encode_lines(lines: Sequence[Line]) -> str:
    rows = [_LineRow(line.product_id, line.quantity, line.name, line.unit_price_minor) for line in lines]
    return _encode(rows).decode()


def encode_reason(reason: Reason) -> str:
    row = _ReasonRow(reason.code, reason.detail, reason.ends_as, dict(reason.extras), reason.actor)
    return _encode(row).decode()


def order_of(row: Iterable[Any]) -> Order:
    """The order of a row of `COLUMNS`."""
    id_, user_id, name, email, lines, status, *others = row
    if others[_REASON] is not None:
        reason = _decode_reason(others[_REASON])
        others[_REASON] = Reason(reason.code, reason.detail, reason.ends_as, reason.extras, reason.actor)
    return Order(
        id_,
        Customer(user_id, name, email),
        tuple(Line(line.product_id, line.quantity, line.name, line.unit_price_minor) for line in _decode_lines(lines)),
        Status(status),
        *others,
    )


# --- Placing


@dataclass(slots=True)
class _PlacedRow:
    id: UUID
    user_id: UUID
    customer_name: str
    customer_email: str
    lines: Json
    payment_method: str | None
    expected_total_minor: int | None
    expected_currency: str | None
    from_cart: bool
    answer_later: bool
    idempotency_key: str | None
    fingerprint: bytes
    correlation_id: str
    traceparent: str | None


_PLACE = JournaledChange(
    """
    INSERT INTO orders (:placed.*, deadline_at, next_attempt_at)
    SELECT placed.*, now() + make_interval(secs => :deadline_s), now() + make_interval(secs => :lease_s)
    FROM :placed
    ON CONFLICT DO NOTHING
    RETURNING id, created_at, deadline_at
    """,
    subject="id",
    placed=_PlacedRow,
)


async def insert(
    connection: Connection,
    orders: Sequence[tuple[NewOrder, Customer]],
    *,
    lease_s: float,
    deadline_s: float,
) -> dict[UUID, Order]:
    """Insert what is new, with its event, and answer it by id. What conflicts (id or key) is left out."""
    placed = [
        _PlacedRow(
            id=new.id,
            user_id=new.user_id,
            customer_name=customer.name,
            customer_email=customer.email,
            lines=encode_lines(new.lines),
            payment_method=new.payment_method,
            expected_total_minor=new.expected_total_minor,
            expected_currency=new.expected_currency,
            from_cart=new.from_cart,
            answer_later=new.answer_later,
            idempotency_key=new.idempotency_key,
            fingerprint=new.fingerprint,
            correlation_id=new.correlation_id,
            traceparent=new.traceparent,
        )
        for new, customer in orders
    ]
    rows = await _PLACE.fetch(
        connection,
        placed=placed,
        lease_s=lease_s,
        deadline_s=deadline_s,
        events=events.journal_events([OrderPlaced(new, customer) for new, customer in orders]),
    )
    times = {row["id"]: (row["created_at"], row["deadline_at"]) for row in rows}
    return {new.id: new.as_placed(customer, *times[new.id]) for new, customer in orders if new.id in times}


_BY_IDS = Statement(f"SELECT {COLUMNS} FROM orders WHERE id = ANY (:order_ids)")  # noqa: S608


async def by_ids(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    return {row["id"]: order_of(row) for row in await _BY_IDS.fetch(connection, order_ids=order_ids)}


# In the order of the ids, so that two replicas do not wait for each other.
_LOCK = Statement(f"SELECT {COLUMNS} FROM orders WHERE id = ANY (:order_ids) ORDER BY id FOR NO KEY UPDATE")  # noqa: S608


async def lock(connection: Connection, order_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """The orders by id, with their rows locked until the end of the transaction. Unknown ones are left out."""
    return {row["id"]: order_of(row) for row in await _LOCK.fetch(connection, order_ids=order_ids)}


async def reread(connection: Connection, orders: Sequence[Order]) -> list[Order]:
    """The current state of the orders, in the same order."""
    current = await by_ids(connection, [order.id for order in orders])
    return [current[order.id] for order in orders]


_WAIT_FOR_CHANGE = Statement("SELECT FROM orders WHERE id = :order_id FOR SHARE")


async def as_settled(connection: Connection, order: Order) -> Order:
    """The state of the order after the commit of a transaction that changes it now."""
    await _WAIT_FOR_CHANGE.execute(connection, order_id=order.id)
    (current,) = await reread(connection, [order])
    return current


_BY_KEY = Statement(
    f"SELECT {COLUMNS}, fingerprint FROM orders WHERE user_id = :user_id AND idempotency_key = :key"  # noqa: S608
)


async def by_key(connection: Connection, user_id: UUID, key: str) -> tuple[Order, bytes] | None:
    """The order that was placed with that key, and the fingerprint of its request."""
    row = await _BY_KEY.fetchrow(connection, user_id=user_id, key=key)
    if row is None:
        return None
    *columns, fingerprint = row
    return order_of(columns), fingerprint


# --- After the pivot

_CANCEL = Statement(
    """
    UPDATE orders
    SET status = 'cancelled', reason = :reason::jsonb, ended_at = now()
    WHERE id = :order_id AND status = 'confirmed'
    RETURNING ended_at
    """
)


async def cancel(connection: Connection, order: Order) -> Order:
    """Store the cancellation of a confirmed order, whose row is locked."""
    reason = None if order.reason is None else encode_reason(order.reason)
    ended_at = await _CANCEL.fetchval(connection, order_id=order.id, reason=reason)
    assert ended_at is not None, "the row is locked"
    return replace(order, ended_at=ended_at)


_SHIP = Statement("UPDATE orders SET status = 'shipped' WHERE id = :order_id AND status = 'confirmed'")


async def ship(connection: Connection, order: Order) -> None:
    """Store the shipment of a confirmed order, whose row is locked."""
    status = await _SHIP.execute(connection, order_id=order.id)
    assert rows_affected(status) == 1, "the row is locked"


# --- Reading

_BY_ID = Statement(f"SELECT {COLUMNS} FROM orders WHERE id = :order_id")  # noqa: S608


async def by_id(connection: Connection, order_id: UUID) -> Order | None:
    row = await _BY_ID.fetchrow(connection, order_id=order_id)
    return None if row is None else order_of(row)


_HISTORY = Statement(
    f"""
    SELECT {COLUMNS}
    FROM orders
    WHERE user_id = :user_id
      AND id < :before
      AND (CASE WHEN :status::text IS NULL THEN status <> 'refused' ELSE status = :status END)
    ORDER BY id DESC
    LIMIT :limit
    """  # noqa: S608
)


async def history(
    connection: Connection, user_id: UUID, before: UUID | None, status: str | None, limit: int
) -> list[Order]:
    """A user's orders, newest first. Those refused before they were accepted are left out unless asked for."""
    # Always a bound: with `:before IS NULL OR ...` the prepared plan would walk to a late page from the first row.
    before = before or UUID(int=2**128 - 1)
    rows = await _HISTORY.fetch(connection, user_id=user_id, before=before, status=status, limit=limit)
    return [order_of(row) for row in rows]
