"""The table `sign_in_budgets`: the state of the sign-in limits. Times are the database's, in seconds since 1970."""

from collections.abc import Sequence

import msgspec

from chassis.persistence.database import Connection, rows_affected


class StoredBudget(msgspec.Struct, frozen=True):
    """`now` is the time at which the row was locked."""

    key: bytes
    full_at: float
    slot_at: float | None
    now: float


async def lock(connection: Connection, keys: Sequence[bytes]) -> list[StoredBudget]:
    """The budgets in the order of `keys`, which has to be the same in all transactions. A new budget is full."""
    rows = await connection.fetch(
        """
        INSERT INTO sign_in_budgets AS stored (key, full_at)
        SELECT key, '-infinity' FROM unnest($1::bytea[]) WITH ORDINALITY AS requested (key, place) ORDER BY place
        ON CONFLICT (key) DO UPDATE SET full_at = stored.full_at
        RETURNING key, extract(epoch FROM full_at)::float8, extract(epoch FROM turn_at)::float8,
                  extract(epoch FROM clock_timestamp())::float8
        """,
        keys,
    )
    return [StoredBudget(*row) for row in rows]


async def update(
    connection: Connection, keys: Sequence[bytes], full_at: Sequence[float], slot_at: Sequence[float | None]
) -> None:
    """Write the new state of locked budgets, in the order of `keys`."""
    await connection.execute(
        """
        UPDATE sign_in_budgets AS stored
        SET full_at = to_timestamp(changed.full_at), turn_at = to_timestamp(changed.slot_at)
        FROM unnest($1::bytea[], $2::float8[], $3::float8[]) AS changed (key, full_at, slot_at)
        WHERE stored.key = changed.key
        """,
        keys,
        full_at,
        slot_at,
    )


async def delete_full(connection: Connection, slot_s: float, limit: int) -> int:
    """Delete up to `limit` budgets that are full and whose slot began more than `slot_s` ago. Returns their number."""
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
        slot_s,
        limit,
    )
    return rows_affected(status)
