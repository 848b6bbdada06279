"""Gives the next access token for a refresh token, and the next refresh token in its place (RFC 9700, section 4.14.2).

A refresh token is good for one use. A second use means that two have it, of whom one has stolen it, and nobody can
tell which: so the whole session ends, and its access tokens with it. That holds for a client too that uses it again
because the answer was lost; it signs in anew.
"""

from enum import Enum, auto

import structlog

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from users import events
from users.domain.session import Session, hash_of, new_refresh_token
from users.errors import InvalidGrant
from users.store import sessions

_log = structlog.get_logger()


class _Refused(Enum):
    NOT_GOOD = auto()
    USED_AGAIN = auto()


async def refresh_session(
    database: Database, *, refresh_token: str, refresh_token_lifetime_s: int
) -> tuple[Session, str]:
    """The session and its next refresh token. Raises `InvalidGrant`."""
    token_hash = hash_of(refresh_token)
    next_token = new_refresh_token()
    next_hash = hash_of(next_token)

    async def rotate(connection: Connection) -> Session | _Refused:
        kept = await sessions.lock_token(connection, token_hash)
        if kept is None or kept.is_revoked or kept.is_expired:
            return _Refused.NOT_GOOD
        if kept.successor is None:
            await sessions.replace_token(connection, token_hash, next_hash, kept.session_id, refresh_token_lifetime_s)
        elif kept.successor != next_hash:
            await sessions.revoke(connection, kept.session_id)
            revoked = events.session_revoked(kept.account_id, kept.session_id, "refresh_token_reused")
            await journal.append(connection, [revoked])
            _log.warning(
                "refresh token used again, session revoked",
                user_id=str(kept.account_id),
                session_id=str(kept.session_id),
            )
            return _Refused.USED_AGAIN
        # A successor that is this request's own: the commit was done before, and only its answer was lost.
        return Session(
            id=kept.session_id,
            account_id=kept.account_id,
            account_version=kept.account_version,
            roles=kept.roles,
        )

    # The refusal is raised after the commit: raised within, it would take the revocation back.
    outcome = await database.run(rotate)
    match outcome:
        case Session():
            return outcome, next_token
        case _Refused.USED_AGAIN:
            raise InvalidGrant("This refresh token was used before: its session has ended. Sign in again.")
        case _Refused.NOT_GOOD:
            raise InvalidGrant("The refresh token is not known, has expired, or its session has ended.")
