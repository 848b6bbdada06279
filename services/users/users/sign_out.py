"""Ends the session of a refresh token, and revokes the session's access tokens.

The refresh token itself is the right to do so, as in RFC 7009.
"""

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.domain.session import hash_of
from users.store import sessions

_log = structlog.get_logger()


async def sign_out(database: Database, refresh_token: str) -> None:
    """End the session. One that has ended, or never was, is as good as ended."""

    async def revoke(connection: Connection) -> None:
        ended = await sessions.revoke_by_token(connection, hash_of(refresh_token))
        if ended is not None:
            session_id, account_id = ended
            await journal.append(connection, [events.session_revoked(account_id, session_id, "signed_out")])
            _log.info("signed out", user_id=str(account_id))

    await database.run(revoke)
