"""The table `sign_in_budgets`: the state of the sign-in limits. Times are the database's, in seconds since 1970."""

from collections.abc import Sequence

import msgspec

from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Statement


class StoredBudget(msgspec.Struct, frozen=True):
    """`now` is the time at which the row was locked."""

    key: bytes
    full_at: float
    slot_at: float | None
    now: float


_LOCK = Statement(
    """
    INSERT INTO sign_in_budgets AS stored (key, full_at)
    SELECT key, '-infinity' FROM unnest(:keys::bytea[]) WITH ORDINALITY AS requested (key, place) ORDER BY place
    ON CONFLICT (key) DO UPDATE SET full_at = stored.full_at
    RETURNING key, extract(epoch FROM full_at)::float8, extract(epoch FROM turn_at)::float8,
              extract(epoch FROM clock_timestamp())::float8
    """
)


async def lock(connection: Connection, keys: Sequence[bytes]) -> list[StoredBudget]:
    """The budgets in the order of `keys`, which has to be the same in all transactions. A new budget is full."""
    rows = await _LOCK.fetch(connection, keys=keys)
    return [StoredBudget(*row) for row in rows]


_UPDATE = Statement(
    """
    UPDATE sign_in_budgets AS stored
    SET full_at = to_timestamp(changed.full_at), turn_at = to_timestamp(changed.slot_at)
    FROM unnest(:keys::bytea[], :full_at::float8[], :slot_at::float8[]) AS changed (key, full_at, slot_at)
    WHERE stored.key = changed.key
    """
)


async def update(
    connection: Connection, keys: Sequence[bytes], full_at: Sequence[float], slot_at: Sequence[float | None]
) -> None:
    """Write the new state of locked budgets, in the order of `keys`."""
    await _UPDATE.execute(connection, keys=keys, full_at=full_at, slot_at=slot_at)


_DELETE_FULL = Statement(
    """
    DELETE FROM sign_in_budgets
    WHERE key IN (
        SELECT key
        FROM sign_in_budgets
        WHERE full_at < now() AND (turn_at IS NULL OR turn_at < now() - make_interval(secs => :slot_s))
        ORDER BY full_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    """
)


async def delete_full(connection: Connection, slot_s: float, limit: int) -> int:
    """Delete up to `limit` budgets that are full and whose slot began more than `slot_s` ago. Returns their number."""
    status = await _DELETE_FULL.execute(connection, slot_s=slot_s, limit=limit)
    return rows_affected(status)
