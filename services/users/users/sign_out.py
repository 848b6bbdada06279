"""Ends the session of a refresh token, and revokes the session's access tokens.

Possession of the refresh token is the permission, as in RFC 7009.
"""

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.domain.session import SessionRevoked, hash_token
from users.store import sessions

_log = structlog.get_logger()


async def sign_out(database: Database, refresh_token: str) -> None:
    """Idempotent. An unknown token is no error."""

    async def revoke(connection: Connection) -> None:
        ended = await sessions.revoke_by_token(connection, hash_token(refresh_token))
        if ended is not None:
            session_id, account_id = ended
            revoked = SessionRevoked(account_id, session_id, "signed_out")
            await journal.append(connection, events.journal_events([revoked]))
            _log.info("signed out", user_id=str(account_id))

    await database.run(revoke)
