"""The signing keys in memory: signs access tokens, and answers the JWKS.

All replicas share the keys in the database, where they are encrypted. Each replica holds a decrypted copy.
`domain.signing_key` has the life of a key, `rotate_signing_keys` makes new ones.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from chassis.persistence.database import Database
from chassis.security.tokens import UserKeys, access_claims
from users.domain.session import Session
from users.domain.signing_key import SigningKey, current_key
from users.key_encryption import KeyEncryption
from users.store import signing_keys
from users.store.signing_keys import StoredKey

_PUBLIC_MEMBERS = ("kid", "x", "y", "kty", "crv", "use", "alg")


class KeyRing:
    """Empty until the first `reload`."""

    def __init__(self, database: Database, encryption: KeyEncryption, *, issuer: str, token_lifetime_s: int) -> None:
        self._database = database
        self._encryption = encryption
        self._issuer = issuer
        self.token_lifetime_s = token_lifetime_s
        self._keys: Sequence[SigningKey] = ()
        self._private_keys: dict[str, ECKey] = {}
        self.verifying = UserKeys(self._fetch_jwks, refetch_s_min=0.0)
        """Verifies the tokens of requests to users itself."""

    @property
    def newest(self) -> SigningKey | None:
        return self._keys[-1] if self._keys else None

    async def reload(self) -> None:
        """Read the published keys. Raises `CannotDecrypt`."""
        stored_keys = await self._database.read(signing_keys.read_published)
        self._private_keys = {
            stored.key.key_id: self._private_keys.get(stored.key.key_id) or self._decrypt(stored)
            for stored in stored_keys
        }
        self._keys = [stored.key for stored in stored_keys]
        await self.verifying.refresh()

    def sign(self, session: Session) -> str:
        """An access token of the session."""
        key_id = current_key(self._keys, datetime.now(UTC)).key_id
        claims = access_claims(
            issuer=self._issuer,
            user_id=session.account_id,
            account_version=session.account_version,
            roles=list(session.roles),
            session_id=str(session.id),
            lifetime_s=self.token_lifetime_s,
        )
        return jwt.encode({"alg": "ES256", "kid": key_id}, claims, self._private_keys[key_id], algorithms=["ES256"])

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWKS (RFC 7517, section 5)."""
        now = datetime.now(UTC)
        published = [self._private_keys[key.key_id] for key in self._keys if key.is_published(now)]
        return {"keys": [_public_jwk(private_key) for private_key in published]}

    async def _fetch_jwks(self) -> Mapping[str, Any]:
        return self.jwks()

    def _decrypt(self, stored: StoredKey) -> ECKey:
        private_jwk = self._encryption.decrypt(stored.key.key_id, stored.encrypted)
        return ECKey.import_key(msgspec.json.decode(private_jwk))


def _public_jwk(key: ECKey) -> dict[str, Any]:
    jwk = key.as_dict(private=False)
    return {member: jwk[member] for member in _PUBLIC_MEMBERS}
