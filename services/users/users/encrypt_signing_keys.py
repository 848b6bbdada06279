"""Encrypts the stored signing keys that are not encrypted under the current encryption key.

Those are the plaintext keys of an earlier release, and the keys under an earlier key of KEY_ENCRYPTION_KEYS.
"""

import structlog

from chassis.persistence.database import Connection, Database
from users.domain.signing_key import RotationSchedule
from users.key_encryption import KeyEncryption
from users.rotate_signing_keys import make_key
from users.store import signing_keys

_log = structlog.get_logger()


async def encrypt_signing_keys(database: Database, encryption: KeyEncryption, schedule: RotationSchedule) -> None:
    """Raises `CannotDecrypt`."""
    if await database.read(signing_keys.has_plaintext_column):
        await database.run_as_owner(lambda connection: _encrypt_plaintext(connection, encryption, schedule))
    elif await database.read(
        lambda connection: signing_keys.read_encrypted_by_other_keys(connection, encryption.current_id)
    ):
        await database.run(lambda connection: _encrypt_again(connection, encryption))


async def _encrypt_plaintext(connection: Connection, encryption: KeyEncryption, schedule: RotationSchedule) -> None:
    """Encrypt plaintext keys, and replace them: readers of the database or of a backup may have copied them."""
    await signing_keys.lock_table(connection)
    if not await signing_keys.has_plaintext_column(connection):
        return  # Another replica was faster.
    plaintext = await signing_keys.read_plaintext(connection)
    for key_id, private_jwk in plaintext:
        await signing_keys.update_ciphertext(connection, key_id, encryption.encrypt(key_id, private_jwk.encode()))
    await signing_keys.drop_plaintext_column(connection)
    _log.info("signing keys encrypted", keys=len(plaintext), encryption_key_id=encryption.current_id)
    if plaintext:
        await make_key(connection, encryption, schedule, signs_in_s=schedule.publish_ahead_s)


async def _encrypt_again(connection: Connection, encryption: KeyEncryption) -> None:
    await signing_keys.lock_table(connection)
    for key_id, encrypted in await signing_keys.read_encrypted_by_other_keys(connection, encryption.current_id):
        private_jwk = encryption.decrypt(key_id, encrypted)
        await signing_keys.update_ciphertext(connection, key_id, encryption.encrypt(key_id, private_jwk))
        _log.info("signing key encrypted again", key_id=key_id, encryption_key_id=encryption.current_id)
