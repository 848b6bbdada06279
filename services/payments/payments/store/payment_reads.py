"""Payments as the public API shows them. A tombstone has no user, and is never shown."""

from functools import cache
from uuid import UUID

from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement

_SHOWN = """
    SELECT id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
           state, code, refunded_minor, created_at, authorized_at, captured_at, voided_at
    FROM payments
    WHERE user_id IS NOT NULL
"""
_READ_PAYMENT = Statement(f"{_SHOWN} AND id = :payment_id AND (:user_id::uuid IS NULL OR user_id = :user_id)")


async def read_payment(connection: Connection, payment_id: UUID, user_id: UUID | None) -> Row | None:
    """One payment, and only of that user when `user_id` is given."""
    return await _READ_PAYMENT.fetchrow(connection, payment_id=payment_id, user_id=user_id)


_CONDITIONS = {
    "user_id": "AND user_id = :user_id",
    "order_id": "AND order_id = :order_id",
    "before": "AND id < :before",
}


async def read_payments(
    connection: Connection, *, user_id: UUID | None, order_id: UUID | None, before: UUID | None, limit: int
) -> list[Row]:
    """Payments, the newest first: of that user and of that order, where given."""
    filters = {"user_id": user_id, "order_id": order_id, "before": before}
    given = {name: value for name, value in filters.items() if value is not None}
    return await _list_payments(tuple(given)).fetch(connection, **given, limit=limit)


@cache
def _list_payments(filters: tuple[str, ...]) -> Statement:
    # Only the given conditions are in the statement: with `:order_id IS NULL OR ...` its plan could use no index.
    conditions = " ".join(_CONDITIONS[name] for name in filters)
    return Statement(f"{_SHOWN} {conditions} ORDER BY id DESC LIMIT :limit")
