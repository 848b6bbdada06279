"""Makes the next signing key: when an administrator requests it, and when the newest key has reached its age."""

import msgspec
import structlog
from joserfc.jwk import ECKey
from uuid_utils.compat import uuid7

from chassis.messaging import journal
from chassis.persistence.database import Connection, Database
from chassis.security.tokens import Caller
from chassis.web.operations import operator_acted
from users.domain.signing_key import RotationSchedule
from users.key_encryption import KeyEncryption
from users.store import signing_keys

REASON = "The next signing key was requested."
"""Of the operator's event: the request has no reason."""
_log = structlog.get_logger()


async def rotate_signing_keys(
    database: Database, encryption: KeyEncryption, schedule: RotationSchedule, operator: Caller
) -> None:
    """Publish the next key; it signs later. While one is published that does not sign yet, nothing changes."""

    async def rotate(connection: Connection) -> None:
        await signing_keys.lock_table(connection)
        age_s = await signing_keys.read_newest_age_s(connection)
        if age_s is None or age_s >= 0:
            key_id = await make_key(connection, encryption, schedule, signs_in_s=schedule.publish_ahead_s)
            await journal.append(connection, [operator_acted("rotate signing keys", key_id, operator, REASON)])

    await database.run(rotate)


async def rotate_signing_keys_if_due(database: Database, encryption: KeyEncryption, schedule: RotationSchedule) -> None:
    """Make a key when there is none, or when the newest one is old enough. Replicas may do so at the same time."""

    async def rotate(connection: Connection) -> None:
        await signing_keys.lock_table(connection)
        signs_in_s = schedule.next_key_signs_in_s(await signing_keys.read_newest_age_s(connection))
        if signs_in_s is not None:
            await make_key(connection, encryption, schedule, signs_in_s=signs_in_s)

    await database.run(rotate)


async def make_key(
    connection: Connection, encryption: KeyEncryption, schedule: RotationSchedule, *, signs_in_s: float
) -> str:
    """Store a new key, and let its predecessors retire. Returns its id."""
    key_id = str(uuid7())
    key = ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": "ES256"})
    private_jwk = msgspec.json.encode(key.as_dict(private=True))
    await signing_keys.insert(connection, key_id, encryption.encrypt(key_id, private_jwk), signs_in_s)
    await signing_keys.retire_predecessors(connection, key_id, schedule.retirement_s)
    _log.info("signing key made", key_id=key_id, signs_in_s=signs_in_s)
    return key_id
