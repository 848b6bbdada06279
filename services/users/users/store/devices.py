"""The table `known_devices`: the devices that have signed in to an account."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, rows_affected


async def is_known(connection: Connection, device_hash: bytes, email_forms: Sequence[str]) -> bool:
    """Whether the device is known for the account with one of these addresses."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM known_devices
                JOIN accounts ON accounts.id = known_devices.account_id
                WHERE known_devices.hash = $1 AND known_devices.expires_at > now() AND accounts.email = ANY($2::text[])
            )
            """,
            device_hash,
            email_forms,
        )
    )


async def remember(connection: Connection, device_hash: bytes, account_id: UUID, lifetime_s: int, limit: int) -> None:
    """Insert or extend the device, and keep only the `limit` devices of the account that signed in last."""
    await connection.execute(
        """
        INSERT INTO known_devices (hash, account_id, expires_at)
        VALUES ($1, $2, now() + make_interval(secs => $3))
        ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at
        """,
        device_hash,
        account_id,
        lifetime_s,
    )
    await connection.execute(
        """
        DELETE FROM known_devices
        WHERE hash IN (
            SELECT hash FROM known_devices WHERE account_id = $1 ORDER BY expires_at DESC, hash OFFSET $2
        )
        """,
        account_id,
        limit,
    )


async def delete_all(connection: Connection, account_id: UUID) -> None:
    """Forget all devices of the account: at its deletion, and at each change of its password."""
    await connection.execute("DELETE FROM known_devices WHERE account_id = $1", account_id)


async def delete_expired(connection: Connection, limit: int) -> int:
    """Delete up to `limit` devices. Returns their number."""
    status = await connection.execute(
        """
        DELETE FROM known_devices
        WHERE hash IN (
            SELECT hash
            FROM known_devices
            WHERE expires_at < now()
            ORDER BY expires_at
            LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        limit,
    )
    return rows_affected(status)
