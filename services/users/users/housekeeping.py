"""Removes what has expired: sessions, refresh tokens, retired keys, old failures. Any replica may do it at any time.

A bounded number at a time: however much has gathered while nobody kept house, no statement runs into its time limit.
"""

from chassis.database import Connection, Database
from users import store_accounts, store_keys, store_sessions
from users.sign_in import FORGOTTEN_AFTER_S

BATCH_MAX = 1_000


async def clear_out(database: Database) -> bool:
    """True when there may be more to remove at once."""

    async def work(connection: Connection) -> bool:
        await store_keys.forget_retired(connection)
        removed = (
            await store_sessions.forget_expired(connection, BATCH_MAX),
            await store_sessions.forget_expired_tokens(connection, BATCH_MAX),
            await store_accounts.forget_old_attempts(connection, FORGOTTEN_AFTER_S, BATCH_MAX),
        )
        return BATCH_MAX in removed

    return await database.run(work)
