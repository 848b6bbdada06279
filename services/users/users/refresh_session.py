"""Exchanges a refresh token for the next access and refresh token (RFC 9700, section 4.14.2).

A refresh token is valid for one use. A second use means that two parties have it, one of them a thief, and the service
cannot know which: so the session ends, and its access tokens with it. This also applies to a client that repeats the
request since the answer was lost; it has to sign in again.
"""

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.domain.session import Session, TokenUse, hash_token, new_token
from users.errors import InvalidGrant
from users.store import sessions

_log = structlog.get_logger()


async def refresh_session(
    database: Database, *, refresh_token: str, refresh_token_lifetime_s: int
) -> tuple[Session, str]:
    """The session and its next refresh token. Raises `InvalidGrant`."""
    token_hash = hash_token(refresh_token)
    next_token = new_token()
    next_hash = hash_token(next_token)

    async def exchange(connection: Connection) -> tuple[TokenUse, Session | None]:
        token = await sessions.lock_token(connection, token_hash)
        if token is None:
            return TokenUse.INVALID, None
        use, domain_events = token.use(next_hash)
        session = token.session
        if use is TokenUse.ROTATED:
            await sessions.replace_token(connection, token_hash, next_hash, session.id, refresh_token_lifetime_s)
        elif use is TokenUse.REUSED:
            await sessions.revoke(connection, session.id)
            await journal.append(connection, events.journal_events(domain_events))
            _log.warning(
                "refresh token reused, session revoked", user_id=str(session.account_id), session_id=str(session.id)
            )
        return use, session

    # Refused after the commit: an exception inside the transaction would roll the revocation back.
    use, session = await database.run(exchange)
    if use is TokenUse.REUSED:
        raise InvalidGrant("This refresh token was used before: its session has ended. Sign in again.")
    if use is TokenUse.INVALID or session is None:
        raise InvalidGrant("The refresh token is unknown or has expired, or its session has ended.")
    return session, next_token
