"""The table `signing_keys`. Its times come from the database's clock, so that all replicas agree."""

import msgspec

from chassis.persistence.database import Connection
from chassis.persistence.statements import Statement
from users.domain.signing_key import SigningKey
from users.key_encryption import EncryptedKey


class StoredKey(msgspec.Struct, frozen=True):
    key: SigningKey
    encrypted: EncryptedKey


_LOCK_TABLE = Statement("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")


async def lock_table(connection: Connection) -> None:
    """Let no other transaction create keys until the end of this one. Reads go on.

    The whole table, since two replicas that start for the first time have no common row to lock.
    """
    await _LOCK_TABLE.execute(connection)


_READ_PUBLISHED = Statement(
    """
    SELECT key_id, encryption_key_id, ciphertext, published_at, signs_from, retires_at
    FROM signing_keys
    WHERE retires_at IS NULL OR retires_at > now()
    ORDER BY signs_from
    """
)


async def read_published(connection: Connection) -> list[StoredKey]:
    """The keys of the JWKS, in the order in which they sign."""
    rows = await _READ_PUBLISHED.fetch(connection)
    return [
        StoredKey(
            SigningKey(
                key_id=row["key_id"],
                published_at=row["published_at"],
                signs_from=row["signs_from"],
                retires_at=row["retires_at"],
            ),
            EncryptedKey(row["encryption_key_id"], row["ciphertext"]),
        )
        for row in rows
    ]


_READ_NEWEST_AGE_S = Statement("SELECT extract(epoch FROM now() - max(signs_from))::double precision FROM signing_keys")


async def read_newest_age_s(connection: Connection) -> float | None:
    """How long the newest key has been signing; negative before it does, None without any key."""
    age_s: float | None = await _READ_NEWEST_AGE_S.fetchval(connection)
    return age_s


_INSERT = Statement(
    """
    INSERT INTO signing_keys (key_id, encryption_key_id, ciphertext, published_at, signs_from)
    VALUES (:key_id, :encryption_key_id, :ciphertext, now(), now() + make_interval(secs => :signs_in_s))
    """
)


async def insert(connection: Connection, key_id: str, encrypted: EncryptedKey, signs_in_s: float) -> None:
    await _INSERT.execute(
        connection,
        key_id=key_id,
        encryption_key_id=encrypted.encryption_key_id,
        ciphertext=encrypted.ciphertext,
        signs_in_s=signs_in_s,
    )


_READ_ENCRYPTED_BY_OTHER_KEYS = Statement(
    "SELECT key_id, encryption_key_id, ciphertext FROM signing_keys WHERE encryption_key_id <> :encryption_key_id"
)


async def read_encrypted_by_other_keys(
    connection: Connection, encryption_key_id: str
) -> list[tuple[str, EncryptedKey]]:
    """Ids and ciphertexts of the signing keys that are encrypted under another key than this one."""
    rows = await _READ_ENCRYPTED_BY_OTHER_KEYS.fetch(connection, encryption_key_id=encryption_key_id)
    return [(row["key_id"], EncryptedKey(row["encryption_key_id"], row["ciphertext"])) for row in rows]


_UPDATE_CIPHERTEXT = Statement(
    "UPDATE signing_keys SET encryption_key_id = :encryption_key_id, ciphertext = :ciphertext WHERE key_id = :key_id"
)


async def update_ciphertext(connection: Connection, key_id: str, encrypted: EncryptedKey) -> None:
    await _UPDATE_CIPHERTEXT.execute(
        connection, key_id=key_id, encryption_key_id=encrypted.encryption_key_id, ciphertext=encrypted.ciphertext
    )


_HAS_PLAINTEXT_COLUMN = Statement(
    """
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'signing_keys'::regclass AND attname = 'private_jwk' AND NOT attisdropped
    )
    """
)


async def has_plaintext_column(connection: Connection) -> bool:
    """Whether the table still has the column in which an earlier release stored private keys unencrypted."""
    return bool(await _HAS_PLAINTEXT_COLUMN.fetchval(connection))


_READ_PLAINTEXT = Statement("SELECT key_id, private_jwk FROM signing_keys WHERE private_jwk IS NOT NULL")


async def read_plaintext(connection: Connection) -> list[tuple[str, str]]:
    """Ids and private JWKs of the keys that are not encrypted."""
    rows = await _READ_PLAINTEXT.fetch(connection)
    return [(row["key_id"], row["private_jwk"]) for row in rows]


_DROP_PLAINTEXT_COLUMN = Statement("ALTER TABLE signing_keys DROP COLUMN private_jwk")


async def drop_plaintext_column(connection: Connection) -> None:
    await _DROP_PLAINTEXT_COLUMN.execute(connection)


_RETIRE_PREDECESSORS = Statement(
    """
    UPDATE signing_keys
    SET retires_at = successor.signs_from + make_interval(secs => :retirement_s)
    FROM signing_keys AS successor
    WHERE successor.key_id = :key_id AND signing_keys.key_id <> :key_id AND signing_keys.retires_at IS NULL
    """
)


async def retire_predecessors(connection: Connection, key_id: str, retirement_s: float) -> None:
    """Let all other keys retire `retirement_s` after `key_id` begins to sign."""
    await _RETIRE_PREDECESSORS.execute(connection, key_id=key_id, retirement_s=retirement_s)


_DELETE_RETIRED = Statement("DELETE FROM signing_keys WHERE retires_at < now()")


async def delete_retired(connection: Connection) -> None:
    """A retired key signs nothing, so its only use is for a thief."""
    await _DELETE_RETIRED.execute(connection)
