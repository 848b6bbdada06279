"""Private signing keys are encrypted at rest: a copy of the database alone signs nothing.

AES-256-GCM (NIST SP 800-38D) with a random nonce. The associated data names the signing key and the encryption key, so
that a ciphertext which is moved to another row is refused. The encryption keys are in a file that only users is given.
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


class Encrypted(msgspec.Struct, frozen=True):
    """`ciphertext` begins with the nonce."""

    encryption_key_id: str
    ciphertext: bytes


class KeyEncryption:
    """Encrypts with one key, and decrypts with any of those that it has."""

    def __init__(self, current: str, keys: Mapping[str, bytes]) -> None:
        self.current = current
        self._ciphers = {id_: AESGCM(key) for id_, key in keys.items()}

    def encrypt(self, key_id: str, private_jwk: bytes) -> Encrypted:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, private_jwk, _bound_to(key_id, self.current))
        return Encrypted(self.current, nonce + sealed)

    def decrypt(self, key_id: str, encrypted: Encrypted) -> bytes:
        """The private JWK. Raises `CannotDecrypt`."""
        cipher = self._ciphers.get(encrypted.encryption_key_id)
        if cipher is None:
            raise CannotDecrypt(
                f"signing key {key_id} is encrypted by {encrypted.encryption_key_id}, "
                "which KEY_ENCRYPTION_KEYS does not hold"
            )
        nonce, sealed = encrypted.ciphertext[:NONCE_BYTES], encrypted.ciphertext[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, _bound_to(key_id, encrypted.encryption_key_id))
        except (InvalidTag, ValueError) as error:
            raise CannotDecrypt(
                f"signing key {key_id} was changed, or {encrypted.encryption_key_id} is another key than it was"
            ) from error


def parse_encryption_keys(text: str) -> KeyEncryption:
    """The keys of a file: a line for each, of its id and 32 bytes in base64. The first one encrypts.

    Raises ValueError, which never holds a key.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), start=1):
        id_, _, encoded = line.partition(" ")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES or id_ in keys:
            raise ValueError(f"KEY_ENCRYPTION_KEYS, line {number}: expected an id of its own and 32 bytes in base64")
        keys[id_] = key
    if not keys:
        raise ValueError("KEY_ENCRYPTION_KEYS holds no key")
    return KeyEncryption(next(iter(keys)), keys)


def _bound_to(key_id: str, encryption_key_id: str) -> bytes:
    return msgspec.json.encode(["signing_keys", key_id, encryption_key_id])
