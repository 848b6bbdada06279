"""Ends the session of a refresh token. The token itself is the right to do so, as in RFC 7009."""

import structlog

from chassis.database import Connection, Database
from users import store_sessions
from users.session import hash_of

_log = structlog.get_logger()


async def sign_out(database: Database, refresh_token: str) -> None:
    """End the session. One that has ended, or never was, is as good as ended."""

    async def revoke(connection: Connection) -> None:
        account_id = await store_sessions.revoke_by_token(connection, hash_of(refresh_token))
        if account_id is not None:
            _log.info("signed out", user_id=str(account_id))

    await database.run(revoke)
