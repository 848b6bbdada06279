"""Removes what has expired: sessions, refresh tokens, retired keys, old failures. Any replica may do it at any time."""

from chassis.database import Connection, Database
from users import store_accounts, store_keys, store_sessions
from users.sign_in import FORGOTTEN_AFTER_S


async def clear_out(database: Database) -> None:
    async def work(connection: Connection) -> None:
        await store_sessions.forget_expired(connection)
        await store_accounts.forget_old_attempts(connection, FORGOTTEN_AFTER_S)
        await store_keys.forget_retired(connection)

    await database.run(work)
