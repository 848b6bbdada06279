"""Every SQL statement about sessions and their refresh tokens."""

from uuid import UUID

import msgspec

from chassis.persistence.database import Connection, rows_affected
from users.domain.account import Role


class KeptToken(msgspec.Struct, frozen=True):
    """A refresh token as it is kept, with its session and whose that is."""

    session_id: UUID
    account_id: UUID
    account_version: int
    roles: tuple[Role, ...]
    successor: bytes | None
    is_expired: bool
    is_revoked: bool


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


async def lock_token(connection: Connection, token_hash: bytes) -> KeptToken | None:
    """The token; its session is locked, so that of two uses at once the second sees what the first has done."""
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
    # A statement of its own: only now, with the lock, is what it reads the last word.
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
    return None if row is None else KeptToken(row[0], row[1], row[2], tuple(row[3]), *row[4:])


async def replace_token(
    connection: Connection, token_hash: bytes, successor: bytes, session_id: UUID, lifetime_s: int
) -> None:
    """Mark the token as used, put its successor in its place, and let the session live as long as that."""
    await connection.execute("UPDATE refresh_tokens SET successor = $2 WHERE hash = $1", token_hash, successor)
    await insert_token(connection, successor, session_id, lifetime_s)
    await connection.execute(
        "UPDATE sessions SET expires_at = now() + make_interval(secs => $2) WHERE id = $1", session_id, lifetime_s
    )


async def revoke(connection: Connection, session_id: UUID) -> None:
    await connection.execute("UPDATE sessions SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL", session_id)


async def revoke_by_token(connection: Connection, token_hash: bytes) -> tuple[UUID, UUID] | None:
    """Revoke the session of a refresh token, used or not. Answers the session and its account, unless it was before."""
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


async def end_all(connection: Connection, account_id: UUID) -> None:
    """Remove every session of the account, with its tokens."""
    await connection.execute("DELETE FROM sessions WHERE account_id = $1", account_id)


async def forget_expired(connection: Connection, limit: int) -> int:
    """Remove up to `limit` sessions that are over, with their tokens. Answers how many."""
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


async def forget_expired_tokens(connection: Connection, limit: int) -> int:
    """Remove up to `limit` refresh tokens that have expired. Answers how many.

    Used ones are kept until then, so that their reuse is noticed; longer is of no use.
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
