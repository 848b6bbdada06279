"""The tables `sessions` and `refresh_tokens`."""

from uuid import UUID

from chassis.persistence.database import Connection, rows_affected
from users.domain.session import RefreshToken, Session


async def insert(connection: Connection, session_id: UUID, account_id: UUID, lifetime_s: int) -> None:
    await connection.execute(
        """
        INSERT INTO sessions (id, account_id, expires_at)
        VALUES ($1, $2, now() + make_interval(secs => $3))
        ON CONFLICT (id) DO NOTHING
        """,
        session_id,
        account_id,
        lifetime_s,
    )


async def insert_token(connection: Connection, token_hash: bytes, session_id: UUID, lifetime_s: int) -> None:
    await connection.execute(
        """
        INSERT INTO refresh_tokens (hash, session_id, expires_at)
        VALUES ($1, $2, now() + make_interval(secs => $3))
        ON CONFLICT (hash) DO NOTHING
        """,
        token_hash,
        session_id,
        lifetime_s,
    )


async def lock_token(connection: Connection, token_hash: bytes) -> RefreshToken | None:
    """The token, its session locked: of two concurrent uses the second sees the effect of the first."""
    session_id = await connection.fetchval(
        """
        SELECT sessions.id
        FROM refresh_tokens
        JOIN sessions ON sessions.id = refresh_tokens.session_id
        WHERE refresh_tokens.hash = $1
        FOR UPDATE OF sessions
        """,
        token_hash,
    )
    if session_id is None:
        return None
    # A second statement, since only a read that begins after the lock was granted sees the latest state.
    row = await connection.fetchrow(
        """
        SELECT sessions.id, sessions.account_id, accounts.version, accounts.roles, refresh_tokens.successor,
               refresh_tokens.expires_at <= now() AS is_expired, sessions.revoked_at IS NOT NULL AS is_revoked
        FROM refresh_tokens
        JOIN sessions ON sessions.id = refresh_tokens.session_id
        JOIN accounts ON accounts.id = sessions.account_id
        WHERE refresh_tokens.hash = $1
        """,
        token_hash,
    )
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


async def replace_token(
    connection: Connection, token_hash: bytes, successor_hash: bytes, session_id: UUID, lifetime_s: int
) -> None:
    """Mark the token as used, insert its successor, and extend the session to the lifetime of the successor."""
    await connection.execute("UPDATE refresh_tokens SET successor = $2 WHERE hash = $1", token_hash, successor_hash)
    await insert_token(connection, successor_hash, session_id, lifetime_s)
    await connection.execute(
        "UPDATE sessions SET expires_at = now() + make_interval(secs => $2) WHERE id = $1", session_id, lifetime_s
    )


async def revoke(connection: Connection, session_id: UUID) -> None:
    await connection.execute("UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", session_id)


async def revoke_by_token(connection: Connection, token_hash: bytes) -> tuple[UUID, UUID] | None:
    """Revoke the session of a refresh token, used or not. Returns the ids of session and account, if it was open."""
    row = await connection.fetchrow(
        """
        UPDATE sessions
        SET revoked_at = now()
        FROM refresh_tokens
        WHERE refresh_tokens.hash = $1 AND sessions.id = refresh_tokens.session_id AND sessions.revoked_at IS NULL
        RETURNING sessions.id, sessions.account_id
        """,
        token_hash,
    )
    return None if row is None else (row[0], row[1])


async def delete_all(connection: Connection, account_id: UUID) -> None:
    """Delete all sessions of the account, with their tokens."""
    await connection.execute("DELETE FROM sessions WHERE account_id = $1", account_id)


async def delete_expired(connection: Connection, limit: int) -> int:
    """Delete up to `limit` expired sessions, with their tokens. Returns their number."""
    status = await connection.execute(
        """
        DELETE FROM sessions
        WHERE id IN (
            SELECT id
            FROM sessions
            WHERE expires_at < now()
            ORDER BY expires_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        limit,
    )
    return rows_affected(status)


async def delete_expired_tokens(connection: Connection, limit: int) -> int:
    """Delete up to `limit` expired refresh tokens. Returns their number.

    A used token stays until it expires, so that its reuse is detected.
    """
    status = await connection.execute(
        """
        DELETE FROM refresh_tokens
        WHERE hash IN (
            SELECT hash
            FROM refresh_tokens
            WHERE expires_at < now()
            ORDER BY expires_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        limit,
    )
    return rows_affected(status)
