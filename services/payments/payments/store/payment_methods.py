"""The table of saved payment methods."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, Row, rows_affected
from chassis.persistence.statements import Statement

_LOCK_USER = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:user_id::text, 0))")


async def lock_user(connection: Connection, user_id: UUID) -> None:
    """Serialize the changes of this user's methods. An advisory lock, since there may be no row to lock."""
    await _LOCK_USER.execute(connection, user_id=str(user_id))


_FIND_BY_REQUEST = Statement(
    """
    SELECT id, token, label, brand, last4, is_default, created_at, fingerprint
    FROM payment_methods
    WHERE user_id = :user_id AND (id = :method_id OR idempotency_key = :key)
    """
)


async def find_by_request(connection: Connection, user_id: UUID, method_id: UUID, key: str | None) -> Row | None:
    """The method that an earlier attempt of this request saved, by its key or its id, even if it was removed since."""
    return await _FIND_BY_REQUEST.fetchrow(connection, user_id=user_id, method_id=method_id, key=key)


_COUNT = Statement("SELECT count(*) FROM payment_methods WHERE user_id = :user_id AND removed_at IS NULL")


async def count(connection: Connection, user_id: UUID) -> int:
    """How many methods this user has saved."""
    return int(await _COUNT.fetchval(connection, user_id=user_id))


_CLEAR_DEFAULT = Statement("UPDATE payment_methods SET is_default = false WHERE user_id = :user_id")
_ADD = Statement(
    """
    INSERT INTO payment_methods (id, user_id, token, label, brand, last4, is_default, idempotency_key, fingerprint)
    VALUES (:method_id, :user_id, :token, :label, :brand, :last4, :is_default, :key, :fingerprint)
    """
)


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
    """Insert a method. A new default replaces the former one."""
    if is_default:
        await _CLEAR_DEFAULT.execute(connection, user_id=user_id)
    await _ADD.execute(
        connection,
        method_id=method_id,
        user_id=user_id,
        token=token,
        label=label,
        brand=brand,
        last4=last4,
        is_default=is_default,
        key=key,
        fingerprint=fingerprint,
    )


_REMOVE = Statement(
    """
    UPDATE payment_methods
    SET removed_at = now(), is_default = false
    WHERE id = :method_id AND user_id = :user_id AND removed_at IS NULL
    """
)
_SET_OLDEST_AS_DEFAULT = Statement(
    """
    UPDATE payment_methods
    SET is_default = true
    WHERE id = (
        SELECT id FROM payment_methods WHERE user_id = :user_id AND removed_at IS NULL ORDER BY id LIMIT 1
    )
      AND NOT EXISTS (SELECT FROM payment_methods WHERE user_id = :user_id AND is_default)
    """
)


async def remove(connection: Connection, user_id: UUID, method_id: UUID) -> bool:
    """Remove a method. When it was the default, the oldest remaining method becomes the default."""
    status = await _REMOVE.execute(connection, method_id=method_id, user_id=user_id)
    await _SET_OLDEST_AS_DEFAULT.execute(connection, user_id=user_id)
    return rows_affected(status) == 1


_READ_METHODS = Statement(
    """
    SELECT id, token, label, brand, last4, is_default, created_at
    FROM payment_methods
    WHERE user_id = :user_id AND removed_at IS NULL AND (:after::uuid IS NULL OR id > :after)
    ORDER BY id
    LIMIT :limit
    """
)


async def read_methods(connection: Connection, user_id: UUID, after: UUID | None, limit: int) -> list[Row]:
    """The methods of this user, the oldest first."""
    return await _READ_METHODS.fetch(connection, user_id=user_id, after=after, limit=limit)


_FIND_FOR_ORDERS = Statement(
    """
    SELECT id, user_id, token, brand, last4, is_default
    FROM payment_methods
    WHERE user_id = ANY (:user_ids) AND removed_at IS NULL AND (is_default OR id = ANY (:method_ids))
    """
)


async def find_for_orders(
    connection: Connection, user_ids: Sequence[UUID], method_ids: Sequence[UUID]
) -> tuple[dict[tuple[UUID, UUID], Row], dict[UUID, Row]]:
    """The methods with these ids, by user and method; and the default method of each user."""
    rows = await _FIND_FOR_ORDERS.fetch(connection, user_ids=user_ids, method_ids=method_ids)
    named = {(row["user_id"], row["id"]): row for row in rows}
    return named, {row["user_id"]: row for row in rows if row["is_default"]}
