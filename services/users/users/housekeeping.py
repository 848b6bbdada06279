"""Removes what is of no use any more: expired sessions, tokens, keys and devices, and budgets that are full.

Any replica may do it at any time.

A bounded number at a time: however much has gathered while nobody kept house, no statement runs into its time limit.
"""

from chassis.persistence.database import Connection, Database
from users import store_attempts, store_devices, store_keys, store_sessions
from users.attempt_limits import TURN_S

BATCH_MAX = 1_000


async def clear_out(database: Database) -> bool:
    """True when there may be more to remove at once."""

    async def work(connection: Connection) -> bool:
        await store_keys.forget_retired(connection)
        removed = (
            await store_sessions.forget_expired(connection, BATCH_MAX),
            await store_sessions.forget_expired_tokens(connection, BATCH_MAX),
            await store_attempts.forget_full(connection, TURN_S, BATCH_MAX),
            await store_devices.forget_expired(connection, BATCH_MAX),
        )
        return BATCH_MAX in removed

    return await database.run(work)
