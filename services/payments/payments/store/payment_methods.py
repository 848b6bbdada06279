"""The table of saved payment methods."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row, rows_affected


async def lock_user(connection: Connection, user_id: UUID) -> None:
    """Serialize the changes of this user's methods. An advisory lock, since there may be no row to lock."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", str(user_id))


async def find_by_request(connection: Connection, user_id: UUID, method_id: UUID, key: str | None) -> Row | None:
    """The method that an earlier attempt of this request saved, by its key or its id, even if it was removed since."""
    return await connection.fetchrow(
        """
        SELECT id, token, label, brand, last4, is_default, created_at, fingerprint
        FROM payment_methods
        WHERE user_id = $1 AND (id = $2 OR idempotency_key = $3)
        """,
        user_id,
        method_id,
        key,
    )


async def count(connection: Connection, user_id: UUID) -> int:
    found: int = await connection.fetchval(
        "SELECT count(*) FROM payment_methods WHERE user_id = $1 AND removed_at IS NULL", user_id
    )
    return found


async def add(
    connection: Connection,
    *,
    method_id: UUID,
    user_id: UUID,
    token: str,
    label: str | None,
    brand: str,
    last4: str,
    is_default: bool,
    key: str | None,
    fingerprint: bytes,
) -> None:
    if is_default:
        await connection.execute("UPDATE payment_methods SET is_default = false WHERE user_id = $1", user_id)
    await connection.execute(
        """
        INSERT INTO payment_methods (
            id, user_id, token, label, brand, last4, is_default, idempotency_key, fingerprint
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        method_id,
        user_id,
        token,
        label,
        brand,
        last4,
        is_default,
        key,
        fingerprint,
    )


async def remove(connection: Connection, user_id: UUID, method_id: UUID) -> bool:
    """Remove a method. When it was the default, the oldest remaining method becomes the default."""
    status = await connection.execute(
        """
        UPDATE payment_methods
        SET removed_at = now(), is_default = false
        WHERE id = $1 AND user_id = $2 AND removed_at IS NULL
        """,
        method_id,
        user_id,
    )
    await connection.execute(
        """
        UPDATE payment_methods
        SET is_default = true
        WHERE id = (
            SELECT id FROM payment_methods WHERE user_id = $1 AND removed_at IS NULL ORDER BY id LIMIT 1
        )
          AND NOT EXISTS (SELECT FROM payment_methods WHERE user_id = $1 AND is_default)
        """,
        user_id,
    )
    return rows_affected(status) == 1


async def read_methods(connection: Connection, user_id: UUID, after: UUID | None, limit: int) -> list[Row]:
    """The methods of this user, the oldest first."""
    return await connection.fetch(
        """
        SELECT id, token, label, brand, last4, is_default, created_at
        FROM payment_methods
        WHERE user_id = $1 AND removed_at IS NULL AND ($2::uuid IS NULL OR id > $2)
        ORDER BY id
        LIMIT $3
        """,
        user_id,
        after,
        limit,
    )


async def find_for_orders(
    connection: Connection, user_ids: Sequence[UUID], method_ids: Sequence[UUID]
) -> tuple[dict[tuple[UUID, UUID], Row], dict[UUID, Row]]:
    """The methods with these ids, by user and method; and the default method of each user."""
    rows = await connection.fetch(
        """
        SELECT id, user_id, token, brand, last4, is_default
        FROM payment_methods
        WHERE user_id = ANY ($1::uuid[]) AND removed_at IS NULL AND (is_default OR id = ANY ($2::uuid[]))
        """,
        user_ids,
        method_ids,
    )
    named = {(row["user_id"], row["id"]): row for row in rows}
    return named, {row["user_id"]: row for row in rows if row["is_default"]}
