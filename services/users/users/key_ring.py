"""The keys that access tokens are signed with: ES256, rotated so that nobody ever meets a token of an unknown key.

A key is published a while before it signs, longer than any copy of the JWKS is kept; and it stays published after its
successor has begun to sign, until the last token that it signed has expired. All replicas share the keys in the
database, where they are encrypted, and each keeps a copy in memory.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from joserfc import jwt
from joserfc.jwk import ECKey
from uuid_utils.compat import uuid7

from chassis.lifecycle import Loop, keep_trying
from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.problems import Unavailable
from chassis.security.tokens import Caller, UserKeys, access_claims
from chassis.web.operations import operator_acted
from users.domain.session import Session
from users.http.schemas import NextKey, PublicKey, PublicKeys
from users.key_encryption import Encrypted, KeyEncryption
from users.store import signing_keys
from users.store.signing_keys import KeptKey

RELOAD_S = 15.0
"""How often a replica looks for keys that others have made: well within the time for which they are published ahead."""
CLOCK_DIFFERENCE_S = 60
"""By how much the clocks of replicas and verifiers may differ before a token outlives its key."""
ROTATED = "The next signing key was asked for."
"""The reason in the record: the request gives none."""
_log = structlog.get_logger()


class SigningKeys:
    """A `Part`. Makes the first key, rotates by age, signs, and knows the JWKS."""

    def __init__(
        self,
        database: Database,
        encryption: KeyEncryption,
        *,
        issuer: str,
        token_lifetime_s: int,
        rotation_s: float,
        publish_ahead_s: float,
    ) -> None:
        self._database = database
        self._encryption = encryption
        self._issuer = issuer
        self._token_lifetime_s = token_lifetime_s
        self._rotation_s = rotation_s
        self._publish_ahead_s = publish_ahead_s
        self._keys: Sequence[tuple[KeptKey, ECKey]] = ()
        self.verifying = UserKeys(self._published, refetch_s_min=0.0)
        """What the tokens of requests to users itself are checked with."""
        self._loop = Loop("signing keys", self._turn, rest_s=RELOAD_S)

    async def start(self) -> None:
        await keep_trying("signing keys", self._begin, on=(Unavailable,))
        await self._loop.start()

    async def _begin(self) -> None:
        if await self._database.read(signing_keys.are_plain):
            await self._database.run_as_owner(self._encrypt_plain)
        elif await self._database.read(self._encrypted_by_others):
            await self._database.run(self._encrypt_anew)
        await self.keep_up()

    async def _encrypt_plain(self, connection: Connection) -> None:
        """Encrypt the keys of an earlier version, and have the next key replace them.

        They signed while readers of the database, and of its backups, could read them.
        """
        await signing_keys.lock(connection)
        if not await signing_keys.are_plain(connection):
            return  # Another replica was faster.
        plain = await signing_keys.read_plain(connection)
        for key_id, private_jwk in plain:
            await signing_keys.replace_encryption(
                connection, key_id, self._encryption.encrypt(key_id, private_jwk.encode())
            )
        await signing_keys.drop_plain(connection)
        _log.info("signing keys encrypted", keys=len(plain), encryption_key_id=self._encryption.current)
        if plain:
            await self._make(connection, signs_in_s=self._publish_ahead_s)

    async def _encrypt_anew(self, connection: Connection) -> None:
        """Encrypts with the current key what another one encrypts. Raises `CannotDecrypt`."""
        await signing_keys.lock(connection)
        for key_id, encrypted in await self._encrypted_by_others(connection):
            private_jwk = self._encryption.decrypt(key_id, encrypted)
            await signing_keys.replace_encryption(connection, key_id, self._encryption.encrypt(key_id, private_jwk))
            _log.info("signing key encrypted anew", key_id=key_id, encryption_key_id=self._encryption.current)

    async def _encrypted_by_others(self, connection: Connection) -> list[tuple[str, Encrypted]]:
        return await signing_keys.encrypted_by_others(connection, self._encryption.current)

    async def stop(self) -> None:
        await self._loop.stop()

    @property
    def token_lifetime_s(self) -> int:
        return self._token_lifetime_s

    def sign(self, session: Session) -> str:
        """An access token for the session's person."""
        kept, key = self._signing_now()
        claims = access_claims(
            issuer=self._issuer,
            user_id=session.account_id,
            account_version=session.account_version,
            roles=list(session.roles),
            session_id=str(session.id),
            lifetime_s=self._token_lifetime_s,
        )
        return jwt.encode({"alg": "ES256", "kid": kept.key_id}, claims, key, algorithms=["ES256"])

    def public_keys(self) -> PublicKeys:
        """The JWKS."""
        return PublicKeys(
            keys=[
                msgspec.convert(key.as_dict(private=False), PublicKey)
                for kept, key in self._keys
                if kept.retires_at is None or kept.retires_at.timestamp() > time.time()
            ]
        )

    async def rotate(self, operator: Caller) -> NextKey:
        """Publish the next key now; it signs later. While one is waiting to sign already, it is that one."""
        await self._database.run(lambda connection: self._make_next(connection, operator))
        await self._reload()
        kept, _ = self._keys[-1]
        return NextKey(kid=kept.key_id, signs_from=kept.signs_from)

    async def keep_up(self) -> None:
        """Make a key when there is none, or when the newest has been signing for long enough; know what others made."""
        await self._reload()
        if not self._keys or time.time() - self._keys[-1][0].signs_from.timestamp() >= self._rotation_s:
            await self._database.run(self._make_if_due)
            await self._reload()

    async def _turn(self) -> bool:
        await self.keep_up()
        return False

    async def _make_if_due(self, connection: Connection) -> None:
        await signing_keys.lock(connection)
        age_s = await signing_keys.newest_age_s(connection)
        if age_s is None:
            # Nobody can have a copy of a JWKS yet, so the first one signs at once.
            await self._make(connection, signs_in_s=0)
        elif age_s >= self._rotation_s:
            await self._make(connection, signs_in_s=self._publish_ahead_s)

    async def _make_next(self, connection: Connection, operator: Caller) -> None:
        await signing_keys.lock(connection)
        age_s = await signing_keys.newest_age_s(connection)
        if age_s is None or age_s >= 0:
            key_id = await self._make(connection, signs_in_s=self._publish_ahead_s)
            await journal.append(connection, [operator_acted("rotate signing keys", key_id, operator, ROTATED)])

    async def _make(self, connection: Connection, *, signs_in_s: float) -> str:
        """The id of the new key."""
        key_id = str(uuid7())
        key = ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": "ES256"})
        private_jwk = msgspec.json.encode(key.as_dict(private=True))
        await signing_keys.insert(connection, key_id, self._encryption.encrypt(key_id, private_jwk), signs_in_s)
        await signing_keys.retire_others(connection, key_id, self._token_lifetime_s + CLOCK_DIFFERENCE_S)
        _log.info("signing key made", key_id=key_id, signs_in_s=signs_in_s)
        return key_id

    async def _reload(self) -> None:
        known = {kept.key_id: key for kept, key in self._keys}
        self._keys = [
            (kept, known.get(kept.key_id) or self._decrypt(kept))
            for kept in await self._database.read(signing_keys.published)
        ]
        await self.verifying.refresh()

    async def _published(self) -> Mapping[str, Any]:
        """The JWKS as `UserKeys` fetches it; here from memory."""
        jwks: dict[str, Any] = msgspec.to_builtins(self.public_keys())
        return jwks

    def _decrypt(self, kept: KeptKey) -> ECKey:
        return ECKey.import_key(msgspec.json.decode(self._encryption.decrypt(kept.key_id, kept.encrypted)))

    def _signing_now(self) -> tuple[KeptKey, ECKey]:
        begun = [entry for entry in self._keys if entry[0].signs_from.timestamp() <= time.time()]
        # With a clock behind the database's the first key may seem to begin a moment from now.
        return begun[-1] if begun else self._keys[0]
