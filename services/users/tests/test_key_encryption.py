"""Private signing keys are encrypted at rest, under a key that the database does not hold."""

from typing import Any

import asyncpg
import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet

from cartwright.testkit import servers
from cartwright.testkit.keys import make_encryption_key, make_key
from chassis.persistence.database import Connection, Database
from users.app import MIGRATIONS
from users.key_encryption import CannotDecrypt, EncryptedKey, parse_encryption_keys

OLD, NEW = make_encryption_key(), make_encryption_key()


@pytest.fixture
async def database(database_url: str):
    opened = Database(database_url, owner_url=servers.owner_url(database_url), migrations=MIGRATIONS)
    await opened.start()
    yield opened
    await opened.stop()


async def started(replica: Any, database: Database, encryption_keys: str) -> Any:
    keys = replica(database, encryption_keys)
    await keys.rotation.start()
    await keys.rotation.stop()
    return keys


async def whole_table(database: Database) -> str:
    rows = await database.read(lambda c: c.fetch("SELECT signing_keys::text AS row, ciphertext FROM signing_keys"))
    return "".join(row["row"] + row["ciphertext"].decode("latin-1") for row in rows)


async def test_the_table_holds_no_private_key(database: Database, replica: Any) -> None:
    keys = await started(replica, database, NEW)
    (key,) = keys.ring._private_keys.values()
    private = str(key.as_dict(private=True)["d"])
    assert private not in await whole_table(database)


async def test_a_new_encryption_key_takes_over_from_the_old_one_and_tokens_stay_valid(
    database: Database, replica: Any
) -> None:
    token = (await started(replica, database, OLD)).sign()
    after = await started(replica, database, f"{NEW}\n{OLD}\n")
    # The old key is not needed any more.
    alone = await started(replica, database, NEW)
    for keys in (after, alone):
        jwks = KeySet.import_key_set(keys.ring.jwks())
        assert jwt.decode(token, jwks, algorithms=["ES256"]).claims["typ"] == "access"


async def test_a_start_without_the_encryption_key_fails_and_changes_nothing(database: Database, replica: Any) -> None:
    await started(replica, database, OLD)
    before = await whole_table(database)
    with pytest.raises(CannotDecrypt, match="KEY_ENCRYPTION_KEYS does not hold"):
        await started(replica, database, NEW)
    assert await whole_table(database) == before


async def test_a_ciphertext_that_was_moved_to_another_row_or_changed_is_refused() -> None:
    encryption = parse_encryption_keys(NEW)
    encrypted = encryption.encrypt("one", b"private")
    assert encryption.decrypt("one", encrypted) == b"private"
    changed = bytes([*encrypted.ciphertext[:-1], encrypted.ciphertext[-1] ^ 1])
    for key_id, attempt in (
        ("other", encrypted),
        ("one", EncryptedKey(encrypted.encryption_key_id, changed)),
        ("one", EncryptedKey(encrypted.encryption_key_id, b"")),
    ):
        with pytest.raises(CannotDecrypt):
            encryption.decrypt(key_id, attempt)


async def test_plaintext_keys_of_an_earlier_release_are_encrypted_and_replaced(
    database: Database, replica: Any
) -> None:
    plain = make_key("plain")

    async def restore_plaintext_column(connection: Connection) -> None:
        await connection.execute("ALTER TABLE signing_keys ADD COLUMN private_jwk text")
        await connection.execute(
            """
            INSERT INTO signing_keys (key_id, private_jwk, published_at, signs_from)
            VALUES ('plain', $1, now() - interval '1 h', now() - interval '1 h')
            """,
            plain,
        )

    await database.run_as_owner(restore_plaintext_column)
    keys = await started(replica, database, NEW)
    assert str(ECKey.import_key(msgspec.json.decode(plain)).as_dict(private=True)["d"]) not in await whole_table(
        database
    )
    with pytest.raises(asyncpg.UndefinedColumnError):
        await database.read(lambda connection: connection.fetch("SELECT private_jwk FROM signing_keys"))
    # It signs until its successor does, which is published now.
    assert jws.extract_compact(keys.sign().encode()).headers()["kid"] == "plain"
    published = keys.published()
    assert (published[0], len(published)) == ("plain", 2)


@pytest.mark.parametrize("text", ["", "id", "id c2hvcnQ=", f"{NEW}\n{NEW}", "id !!!"])
def test_a_malformed_key_file_is_refused_without_its_content_in_the_message(text: str) -> None:
    with pytest.raises(ValueError, match="KEY_ENCRYPTION_KEYS") as refused:
        parse_encryption_keys(text)
    assert "c2hvcnQ" not in str(refused.value)


async def test_a_service_that_cannot_decrypt_its_keys_is_not_ready(start: Any) -> None:
    async with start(key_encryption_keys=OLD):
        pass
    with pytest.raises(AssertionError, match="ready"):
        async with start(key_encryption_keys=NEW):
            pass
