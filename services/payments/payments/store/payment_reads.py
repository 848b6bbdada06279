"""Payments as people read them. Tombstones are nobody's and are never shown."""

from uuid import UUID

from chassis.persistence.database import Connection, Row


async def read_payment(connection: Connection, payment_id: UUID, user_id: UUID | None) -> Row | None:
    """One payment; only that user's when `user_id` is given."""
    return await connection.fetchrow(
        """
        SELECT id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
               state, code, refunded_minor, created_at, authorized_at, captured_at, voided_at
        FROM payments
        WHERE id = $1 AND user_id IS NOT NULL AND ($2::uuid IS NULL OR user_id = $2)
        """,
        payment_id,
        user_id,
    )


async def read_payments(
    connection: Connection, *, user_id: UUID | None, order_id: UUID | None, before: UUID | None, limit: int
) -> list[Row]:
    """Payments, the newest first: of that user, of that order, where given."""
    # Only what is given stands in the statement: with `$1 IS NULL OR ...` its prepared plan could use no index.
    given = [(part, value) for part, value in _parts(user_id, order_id, before) if value is not None]
    conditions = " ".join(f"AND {part} ${number}" for number, (part, _) in enumerate(given, start=2))
    return await connection.fetch(
        f"""
        SELECT id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
               state, code, refunded_minor, created_at, authorized_at, captured_at, voided_at
        FROM payments
        WHERE user_id IS NOT NULL {conditions}
        ORDER BY id DESC
        LIMIT $1
        """,  # noqa: S608 - only constants are put in.
        limit,
        *(value for _, value in given),
    )


def _parts(user_id: UUID | None, order_id: UUID | None, before: UUID | None) -> list[tuple[str, UUID | None]]:
    return [("user_id =", user_id), ("order_id =", order_id), ("id <", before)]
