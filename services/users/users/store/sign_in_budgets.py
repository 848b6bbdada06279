"""Every SQL statement about the budgets of attempts to sign in. Times are the database's, in seconds since 1970."""

from collections.abc import Sequence

import msgspec

from chassis.persistence.database import Connection, rows_affected


class KeptBudget(msgspec.Struct, frozen=True):
    """When the budget is full again, and the turn that a source was given. `now` is when the row was locked."""

    key: bytes
    full_at: float
    turn_at: float | None
    now: float


async def lock(connection: Connection, keys: Sequence[bytes]) -> list[KeptBudget]:
    """The budgets, in the order of the keys, which have to be in one order always. A new one is full."""
    rows = await connection.fetch(
        """
        INSERT INTO sign_in_budgets AS kept (key, full_at)
        SELECT key, '-infinity' FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (key, place) ORDER BY place
        ON CONFLICT (key) DO UPDATE SET full_at = kept.full_at
        RETURNING key, extract(epoch FROM full_at)::float8, extract(epoch FROM turn_at)::float8,
                  extract(epoch FROM clock_timestamp())::float8
        """,
        keys,
    )
    return [KeptBudget(*row) for row in rows]


async def keep(
    connection: Connection, keys: Sequence[bytes], full_at: Sequence[float], turn_at: Sequence[float | None]
) -> None:
    """What came of budgets that are locked, each in its place."""
    await connection.execute(
        """
        UPDATE sign_in_budgets AS kept
        SET full_at = to_timestamp(changed.full_at), turn_at = to_timestamp(changed.turn_at)
        FROM unnest($1::bytea[], $2::float8[], $3::float8[]) AS changed (key, full_at, turn_at)
        WHERE kept.key = changed.key
        """,
        keys,
        full_at,
        turn_at,
    )


async def forget_full(connection: Connection, kept_for_s: float, limit: int) -> int:
    """Remove up to `limit` budgets that are full, with turns that are over by so much. Answers how many."""
    status = await connection.execute(
        """
        DELETE FROM sign_in_budgets
        WHERE key IN (
            SELECT key
            FROM sign_in_budgets
            WHERE full_at < now() AND (turn_at IS NULL OR turn_at < now() - make_interval(secs => $1))
            ORDER BY full_at
            LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        """,
        kept_for_s,
        limit,
    )
    return rows_affected(status)
