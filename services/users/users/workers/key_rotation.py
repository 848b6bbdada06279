"""Keeps the signing keys of this replica current: encrypts them, rotates them by age, and reloads the key ring."""

from datetime import UTC, datetime

from chassis.lifecycle import Loop, keep_trying
from chassis.persistence.database import Database
from chassis.problems import Unavailable
from users.domain.signing_key import RotationSchedule
from users.encrypt_signing_keys import encrypt_signing_keys
from users.key_encryption import KeyEncryption
from users.key_ring import KeyRing
from users.rotate_signing_keys import rotate_signing_keys_if_due

RELOAD_S = 15.0
"""A replica reads the keys of the others at this interval, well below the time for which keys are published ahead."""


class KeyRotation:
    """A `Part`. Its start fills the key ring."""

    def __init__(
        self, database: Database, encryption: KeyEncryption, key_ring: KeyRing, schedule: RotationSchedule
    ) -> None:
        self._database = database
        self._encryption = encryption
        self._key_ring = key_ring
        self._schedule = schedule
        self._loop = Loop("signing keys", self.run_once, rest_s=RELOAD_S)

    async def start(self) -> None:
        await keep_trying("signing keys", self._begin, on=(Unavailable,))
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def run_once(self) -> bool:
        """Reload the key ring, and rotate when the newest key is old enough. There is never more to do."""
        await self._key_ring.reload()
        if self._is_due():
            await rotate_signing_keys_if_due(self._database, self._encryption, self._schedule)
            await self._key_ring.reload()
        return False

    async def _begin(self) -> None:
        await encrypt_signing_keys(self._database, self._encryption, self._schedule)
        await self.run_once()

    def _is_due(self) -> bool:
        newest = self._key_ring.newest
        age_s = None if newest is None else (datetime.now(UTC) - newest.signs_from).total_seconds()
        return self._schedule.next_key_signs_in_s(age_s) is not None
