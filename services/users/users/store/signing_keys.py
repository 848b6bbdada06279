"""Every SQL statement about signing keys. Times are those of the database, so that all replicas agree."""

from datetime import datetime

import msgspec

from chassis.persistence.database import Connection
from users.key_encryption import Encrypted


class KeptKey(msgspec.Struct, frozen=True):
    """A signing key and its times; `retires_at` is None as long as it has no successor."""

    key_id: str
    encrypted: Encrypted
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
        SELECT key_id, encryption_key_id, ciphertext, published_at, signs_from, retires_at
        FROM signing_keys
        WHERE retires_at IS NULL OR retires_at > now()
        ORDER BY signs_from
        """
    )
    return [
        KeptKey(
            key_id=row["key_id"],
            encrypted=Encrypted(row["encryption_key_id"], row["ciphertext"]),
            published_at=row["published_at"],
            signs_from=row["signs_from"],
            retires_at=row["retires_at"],
        )
        for row in rows
    ]


async def newest_age_s(connection: Connection) -> float | None:
    """The seconds for which the newest key has been signing, below zero before it does; None without any key."""
    age: float | None = await connection.fetchval(
        "SELECT extract(epoch FROM now() - max(signs_from))::double precision FROM signing_keys"
    )
    return age


async def insert(connection: Connection, key_id: str, encrypted: Encrypted, signs_in_s: float) -> None:
    await connection.execute(
        """
        INSERT INTO signing_keys (key_id, encryption_key_id, ciphertext, published_at, signs_from)
        VALUES ($1, $2, $3, now(), now() + make_interval(secs => $4))
        """,
        key_id,
        encrypted.encryption_key_id,
        encrypted.ciphertext,
        signs_in_s,
    )


async def encrypted_by_others(connection: Connection, encryption_key_id: str) -> list[tuple[str, Encrypted]]:
    """The signing keys that another key encrypts than this one, with their ids."""
    rows = await connection.fetch(
        "SELECT key_id, encryption_key_id, ciphertext FROM signing_keys WHERE encryption_key_id <> $1",
        encryption_key_id,
    )
    return [(row["key_id"], Encrypted(row["encryption_key_id"], row["ciphertext"])) for row in rows]


async def replace_encryption(connection: Connection, key_id: str, encrypted: Encrypted) -> None:
    await connection.execute(
        "UPDATE signing_keys SET encryption_key_id = $2, ciphertext = $3 WHERE key_id = $1",
        key_id,
        encrypted.encryption_key_id,
        encrypted.ciphertext,
    )


async def are_plain(connection: Connection) -> bool:
    """Whether the table has the column of an earlier version, which kept private keys as they are."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM pg_attribute
                WHERE attrelid = 'signing_keys'::regclass AND attname = 'private_jwk' AND NOT attisdropped
            )
            """
        )
    )


async def read_plain(connection: Connection) -> list[tuple[str, str]]:
    rows = await connection.fetch("SELECT key_id, private_jwk FROM signing_keys WHERE private_jwk IS NOT NULL")
    return [(row["key_id"], row["private_jwk"]) for row in rows]


async def drop_plain(connection: Connection) -> None:
    await connection.execute("ALTER TABLE signing_keys DROP COLUMN private_jwk")


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
