"""The table of deleted accounts, and the erasure of their data. A row keeps later requests from adding data again."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement

LATE_WRITE_MAX_S = 120.0
"""For so long after a deletion, a transaction that began before it may still write a payment."""

_ADD_TOMBSTONES = Statement(
    """
    INSERT INTO deleted_users (user_id)
    SELECT user_id FROM unnest(:user_ids::uuid[]) AS deleted (user_id) ORDER BY user_id
    ON CONFLICT (user_id) DO NOTHING
    """
)


async def add_tombstones(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Insert a tombstone for each of these users that has none."""
    await _ADD_TOMBSTONES.execute(connection, user_ids=user_ids)


_REMOVE_METHODS = Statement("DELETE FROM payment_methods WHERE user_id = ANY (:user_ids)")


async def remove_methods(connection: Connection, user_ids: Sequence[UUID]) -> None:
    """Delete all methods of these users, with labels, tokens and keys. The caller has locked the users."""
    await _REMOVE_METHODS.execute(connection, user_ids=user_ids)


_IS_DELETED = Statement("SELECT EXISTS (SELECT FROM deleted_users WHERE user_id = :user_id)")


async def is_deleted(connection: Connection, user_id: UUID) -> bool:
    """Whether the account was deleted."""
    return bool(await _IS_DELETED.fetchval(connection, user_id=user_id))


_ERASE_TOKENS = Statement(
    """
    WITH unfinished AS MATERIALIZED (
        SELECT user_id, deleted_at
        FROM deleted_users
        WHERE erased_at IS NULL
        ORDER BY user_id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ), erased AS (
        UPDATE payments
        SET method_token = ''
        FROM unfinished
        WHERE payments.user_id = unfinished.user_id
          AND payments.method_token <> ''
          AND payments.wanted IS NULL
          AND payments.state NOT IN ('intended', 'authorized')
    )
    UPDATE deleted_users
    SET erased_at = now()
    FROM unfinished
    WHERE deleted_users.user_id = unfinished.user_id
      AND unfinished.deleted_at < now() - make_interval(secs => :late_write_max_s)
      AND NOT EXISTS (
          SELECT
          FROM payments
          WHERE payments.user_id = unfinished.user_id
            AND (payments.wanted IS NOT NULL OR payments.state IN ('intended', 'authorized'))
      )
    RETURNING deleted_users.user_id
    """
)


async def erase_tokens(connection: Connection, limit: int) -> int:
    """Erase the tokens of settled payments, for up to `limit` deleted accounts.

    Returns the number of accounts that are erased completely.
    """
    return len(await _ERASE_TOKENS.fetch(connection, limit=limit, late_write_max_s=LATE_WRITE_MAX_S))
