"""The tables `sessions` and `refresh_tokens`."""

from uuid import UUID

from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Statement
from users.domain.session import RefreshToken, Session

_INSERT = Statement(
    """
    INSERT INTO sessions (id, account_id, expires_at)
    VALUES (:id, :account_id, now() + make_interval(secs => :lifetime_s))
    ON CONFLICT (id) DO NOTHING
    """
)


async def insert(connection: Connection, session_id: UUID, account_id: UUID, lifetime_s: int) -> None:
    await _INSERT.execute(connection, id=session_id, account_id=account_id, lifetime_s=lifetime_s)


_INSERT_TOKEN = Statement(
    """
    INSERT INTO refresh_tokens (hash, session_id, expires_at)
    VALUES (:hash, :session_id, now() + make_interval(secs => :lifetime_s))
    ON CONFLICT (hash) DO NOTHING
    """
)


async def insert_token(connection: Connection, token_hash: bytes, session_id: UUID, lifetime_s: int) -> None:
    await _INSERT_TOKEN.execute(connection, hash=token_hash, session_id=session_id, lifetime_s=lifetime_s)


_LOCK_SESSION_OF_TOKEN = Statement(
    """
    SELECT sessions.id
    FROM refresh_tokens
    JOIN sessions ON sessions.id = refresh_tokens.session_id
    WHERE refresh_tokens.hash = :hash
    FOR UPDATE OF sessions
    """
)
_READ_TOKEN = Statement(
    """
    SELECT sessions.id, sessions.account_id, accounts.version, accounts.roles, refresh_tokens.successor,
           refresh_tokens.expires_at <= now() AS is_expired, sessions.revoked_at IS NOT NULL AS is_revoked
    FROM refresh_tokens
    JOIN sessions ON sessions.id = refresh_tokens.session_id
    JOIN accounts ON accounts.id = sessions.account_id
    WHERE refresh_tokens.hash = :hash
    """
)


async def lock_token(connection: Connection, token_hash: bytes) -> RefreshToken | None:
    """The token, its session locked: of two concurrent uses the second sees the effect of the first."""
    if await _LOCK_SESSION_OF_TOKEN.fetchval(connection, hash=token_hash) is None:
        return None
    # A second statement, since only a read that begins after the lock was granted sees the latest state.
    row = await _READ_TOKEN.fetchrow(connection, hash=token_hash)
    if row is None:
        return None
    session = Session(
        id=row["id"], account_id=row["account_id"], account_version=row["version"], roles=tuple(row["roles"])
    )
    return RefreshToken(
        session=session,
        successor_hash=row["successor"],
        is_expired=row["is_expired"],
        is_revoked=row["is_revoked"],
    )


_SET_SUCCESSOR = Statement("UPDATE refresh_tokens SET successor = :successor WHERE hash = :hash")
_EXTEND_SESSION = Statement(
    "UPDATE sessions SET expires_at = now() + make_interval(secs => :lifetime_s) WHERE id = :id"
)


async def replace_token(
    connection: Connection, token_hash: bytes, successor_hash: bytes, session_id: UUID, lifetime_s: int
) -> None:
    """Mark the token as used, insert its successor, and extend the session to the lifetime of the successor."""
    await _SET_SUCCESSOR.execute(connection, hash=token_hash, successor=successor_hash)
    await insert_token(connection, successor_hash, session_id, lifetime_s)
    await _EXTEND_SESSION.execute(connection, id=session_id, lifetime_s=lifetime_s)


_REVOKE = Statement("UPDATE sessions SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL")


async def revoke(connection: Connection, session_id: UUID) -> None:
    await _REVOKE.execute(connection, id=session_id)


_REVOKE_BY_TOKEN = Statement(
    """
    UPDATE sessions
    SET revoked_at = now()
    FROM refresh_tokens
    WHERE refresh_tokens.hash = :hash AND sessions.id = refresh_tokens.session_id AND sessions.revoked_at IS NULL
    RETURNING sessions.id, sessions.account_id
    """
)


async def revoke_by_token(connection: Connection, token_hash: bytes) -> tuple[UUID, UUID] | None:
    """Revoke the session of a refresh token, used or not. Returns the ids of session and account, if it was open."""
    row = await _REVOKE_BY_TOKEN.fetchrow(connection, hash=token_hash)
    return None if row is None else (row[0], row[1])


_DELETE_ALL = Statement("DELETE FROM sessions WHERE account_id = :account_id")


async def delete_all(connection: Connection, account_id: UUID) -> None:
    """Delete all sessions of the account, with their tokens."""
    await _DELETE_ALL.execute(connection, account_id=account_id)


_DELETE_EXPIRED = Statement(
    """
    DELETE FROM sessions
    WHERE id IN (
        SELECT id
        FROM sessions
        WHERE expires_at < now()
        ORDER BY expires_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    """
)


async def delete_expired(connection: Connection, limit: int) -> int:
    """Delete up to `limit` expired sessions, with their tokens. Returns their number."""
    status = await _DELETE_EXPIRED.execute(connection, limit=limit)
    return rows_affected(status)


_DELETE_EXPIRED_TOKENS = Statement(
    """
    DELETE FROM refresh_tokens
    WHERE hash IN (
        SELECT hash
        FROM refresh_tokens
        WHERE expires_at < now()
        ORDER BY expires_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    """
)


async def delete_expired_tokens(connection: Connection, limit: int) -> int:
    """Delete up to `limit` expired refresh tokens. Returns their number.

    A used token stays until it expires, so that its reuse is detected.
    """
    status = await _DELETE_EXPIRED_TOKENS.execute(connection, limit=limit)
    return rows_affected(status)
