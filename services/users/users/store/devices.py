"""The table `known_devices`: the devices that have signed in to an account."""

from collections.abc import Sequence
from uuid import UUID

from chassis.persistence.database import Connection, rows_affected
from chassis.persistence.statements import Statement

_IS_KNOWN = Statement(
    """
    SELECT EXISTS (
        SELECT FROM known_devices
        JOIN accounts ON accounts.id = known_devices.account_id
        WHERE known_devices.hash = :hash AND known_devices.expires_at > now()
          AND accounts.email = ANY(:email_forms::text[])
    )
    """
)


async def is_known(connection: Connection, device_hash: bytes, email_forms: Sequence[str]) -> bool:
    """Whether the device is known for the account with one of these addresses."""
    return bool(await _IS_KNOWN.fetchval(connection, hash=device_hash, email_forms=email_forms))


_UPSERT = Statement(
    """
    INSERT INTO known_devices (hash, account_id, expires_at)
    VALUES (:hash, :account_id, now() + make_interval(secs => :lifetime_s))
    ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at
    """
)
_DELETE_OLDEST = Statement(
    """
    DELETE FROM known_devices
    WHERE hash IN (
        SELECT hash FROM known_devices WHERE account_id = :account_id ORDER BY expires_at DESC, hash OFFSET :limit
    )
    """
)


async def remember(connection: Connection, device_hash: bytes, account_id: UUID, lifetime_s: int, limit: int) -> None:
    """Insert or extend the device, and keep only the `limit` devices of the account that signed in last."""
    await _UPSERT.execute(connection, hash=device_hash, account_id=account_id, lifetime_s=lifetime_s)
    await _DELETE_OLDEST.execute(connection, account_id=account_id, limit=limit)


_DELETE_ALL = Statement("DELETE FROM known_devices WHERE account_id = :account_id")


async def delete_all(connection: Connection, account_id: UUID) -> None:
    """Forget all devices of the account: at its deletion, and at each change of its password."""
    await _DELETE_ALL.execute(connection, account_id=account_id)


_DELETE_EXPIRED = Statement(
    """
    DELETE FROM known_devices
    WHERE hash IN (
        SELECT hash
        FROM known_devices
        WHERE expires_at < now()
        ORDER BY expires_at
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
    """
)


async def delete_expired(connection: Connection, limit: int) -> int:
    """Delete up to `limit` devices. Returns their number."""
    status = await _DELETE_EXPIRED.execute(connection, limit=limit)
    return rows_affected(status)
