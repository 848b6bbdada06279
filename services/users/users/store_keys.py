"""Every SQL statement about signing keys. Times are those of the database, so that all replicas agree."""

from datetime import datetime

import msgspec

from chassis.database import Connection


class KeptKey(msgspec.Struct, frozen=True):
    """A signing key and its times; `retires_at` is None as long as it has no successor."""

    key_id: str
    private_jwk: str
    published_at: datetime
    signs_from: datetime
    retires_at: datetime | None


async def lock(connection: Connection) -> None:
    """Nobody else makes keys until this transaction ends; readers are not held up.

    The whole table, since at the first start there is no row yet that two replicas could meet at.
    """
    await connection.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")


async def published(connection: Connection) -> list[KeptKey]:
    """The keys that belong into the JWKS, in the order in which they sign."""
    rows = await connection.fetch(
        """
        SELECT key_id, private_jwk, published_at, signs_from, retires_at
        FROM signing_keys
        WHERE retires_at IS NULL OR retires_at > now()
        ORDER BY signs_from
        """
    )
    return [KeptKey(*row) for row in rows]


async def newest_age_s(connection: Connection) -> float | None:
    """The seconds for which the newest key has been signing, below zero before it does; None without any key."""
    age: float | None = await connection.fetchval(
        "SELECT extract(epoch FROM now() - max(signs_from))::double precision FROM signing_keys"
    )
    return age


async def insert(connection: Connection, key_id: str, private_jwk: str, signs_in_s: float) -> None:
    await connection.execute(
        """
        INSERT INTO signing_keys (key_id, private_jwk, published_at, signs_from)
        VALUES ($1, $2, now(), now() + make_interval(secs => $3))
        """,
        key_id,
        private_jwk,
        signs_in_s,
    )


async def retire_others(connection: Connection, key_id: str, after_s: float) -> None:
    """Let the predecessors of a key leave `after_s` seconds after it begins to sign."""
    await connection.execute(
        """
        UPDATE signing_keys
        SET retires_at = successor.signs_from + make_interval(secs => $2)
        FROM signing_keys AS successor
        WHERE successor.key_id = $1 AND signing_keys.key_id <> $1 AND signing_keys.retires_at IS NULL
        """,
        key_id,
        after_s,
    )


async def forget_retired(connection: Connection) -> None:
    """A private key that signs nothing any more can only be stolen."""
    await connection.execute("DELETE FROM signing_keys WHERE retires_at < now()")
