"""Encrypts private signing keys at rest: a copy of the database alone cannot sign.

AES-256-GCM (NIST SP 800-38D) with a random nonce. The associated data names the signing key and the encryption key, so
that a ciphertext that was moved to another row is refused. Only the users service has the file of encryption keys.
"""

import base64
import binascii
import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12


class CannotDecrypt(Exception):
    """A signing key cannot be decrypted with the keys of KEY_ENCRYPTION_KEYS."""


class EncryptedKey(msgspec.Struct, frozen=True):
    """`ciphertext` begins with the nonce."""

    encryption_key_id: str
    ciphertext: bytes


class KeyEncryption:
    """Encrypts with the key `current_id`, and decrypts with each of the given keys."""

    def __init__(self, current_id: str, keys: Mapping[str, bytes]) -> None:
        self.current_id = current_id
        self._ciphers = {id_: AESGCM(key) for id_, key in keys.items()}

    def encrypt(self, key_id: str, private_jwk: bytes) -> EncryptedKey:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current_id].encrypt(nonce, private_jwk, _associated_data(key_id, self.current_id))
        return EncryptedKey(self.current_id, nonce + sealed)

    def decrypt(self, key_id: str, encrypted: EncryptedKey) -> bytes:
        """The private JWK. Raises `CannotDecrypt`."""
        cipher = self._ciphers.get(encrypted.encryption_key_id)
        if cipher is None:
            raise CannotDecrypt(
                f"signing key {key_id} is encrypted under {encrypted.encryption_key_id}, "
                "which KEY_ENCRYPTION_KEYS does not hold"
            )
        nonce, sealed = encrypted.ciphertext[:NONCE_BYTES], encrypted.ciphertext[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, _associated_data(key_id, encrypted.encryption_key_id))
        except (InvalidTag, ValueError) as error:
            raise CannotDecrypt(
                f"the ciphertext of signing key {key_id} or the key {encrypted.encryption_key_id} was changed"
            ) from error


def parse_encryption_keys(text: str) -> KeyEncryption:
    """Parse KEY_ENCRYPTION_KEYS: one key a line, as its id, a space and 32 bytes in base64. The first one encrypts.

    Raises `ValueError`, whose message never contains a key.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), start=1):
        id_, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES or id_ in keys:
            raise ValueError(f"KEY_ENCRYPTION_KEYS, line {number}: expected a unique id and 32 bytes in base64")
        keys[id_] = key
    if not keys:
        raise ValueError("KEY_ENCRYPTION_KEYS holds no key")
    return KeyEncryption(next(iter(keys)), keys)


def _associated_data(key_id: str, encryption_key_id: str) -> bytes:
    return msgspec.json.encode(["signing_keys", key_id, encryption_key_id])
