"""Deletes expired sessions, tokens, keys and devices, and sign-in budgets that are full.

All replicas do so. Each batch is bounded: no statement runs into its time limit, however large the backlog is.
"""

from chassis.persistence.database import Connection, Database
from users.domain.sign_in_limits import SLOT_S
from users.store import devices, sessions, sign_in_budgets, signing_keys

BATCH_MAX = 1_000


async def delete_expired(database: Database) -> bool:
    """One batch of each kind. True when there may be more."""

    async def delete_batches(connection: Connection) -> bool:
        await signing_keys.delete_retired(connection)
        deleted = (
            await sessions.delete_expired(connection, BATCH_MAX),
            await sessions.delete_expired_tokens(connection, BATCH_MAX),
            await sign_in_budgets.delete_full(connection, SLOT_S, BATCH_MAX),
            await devices.delete_expired(connection, BATCH_MAX),
        )
        return BATCH_MAX in deleted

    return await database.run(delete_batches)
