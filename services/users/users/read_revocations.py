"""Lists the revoked access tokens to services: by sessions that ended, roles that changed, and deleted accounts.

The journal has each of them, appended in the transaction of the change, so the feed has no table of its own.
"""

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from chassis.messaging.journal import TRANSACTION_MAX
from chassis.persistence.database import Connection, Database
from chassis.problems import Invalid
from chassis.security.revocations import REVOCATIONS_MAX, Revocation, Revocations
from users import events
from users.domain.signing_key import CLOCK_DIFFERENCE_S
from users.events import SessionRevokedData
from users.store import revocations
from users.store.revocations import Entry


async def read_revocations(database: Database, *, after: str | None, token_lifetime_s: int) -> Revocations:
    """The revocations after the cursor `after`; without it, all whose tokens may not have expired yet.

    Raises `Invalid` for a malformed cursor.
    """
    since = datetime.now(UTC) - timedelta(seconds=token_lifetime_s + CLOCK_DIFFERENCE_S)

    async def read(connection: Connection) -> tuple[str, list[Entry]]:
        if after is None:
            return await revocations.read_since(connection, events.REVOCATIONS, since, REVOCATIONS_MAX)
        return await revocations.read_after(connection, events.REVOCATIONS, after, REVOCATIONS_MAX)

    try:
        cursor, entries = await database.read(read)
    except asyncpg.DataError as error:
        raise Invalid("after: this is not a cursor of revocations.") from error
    # Commit order is not the order of time: an omitted entry may be newer than a listed one, by one transaction.
    is_cut = len(entries) == REVOCATIONS_MAX
    issued_before = min(entry.time for entry in entries) + TRANSACTION_MAX if is_cut else None
    return Revocations(items=[_revocation(entry) for entry in entries], cursor=cursor, issued_before=issued_before)


def _revocation(entry: Entry) -> Revocation:
    if entry.type == events.SESSION_REVOKED:
        ended = msgspec.json.decode(entry.data, type=SessionRevokedData)
        return Revocation(session_id=str(ended.session_id))
    # The other two types have both members: the id of the account, and its version.
    return msgspec.json.decode(entry.data, type=Revocation)
