"""Tells services which access tokens are revoked: by sessions that were ended, roles that were changed, and deletions.

The journal has each of them, written in the transaction of the change: so the feed needs no table of its own.
"""

from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from chassis.messaging.journal import TRANSACTION_MAX
from chassis.persistence.database import Connection, Database
from chassis.problems import Invalid
from chassis.security.revocations import REVOCATIONS_MAX, Revocation, Revocations
from users import events
from users.events import SessionRevokedData
from users.key_ring import CLOCK_DIFFERENCE_S
from users.store import revocations
from users.store.revocations import Entry


async def read_revocations(database: Database, *, after: str | None, token_lifetime_s: int) -> Revocations:
    """Those that were committed after the cursor `after`; without it, all of which a token may still be alive.

    Raises `Invalid` for a cursor that is none.
    """
    since = datetime.now(UTC) - timedelta(seconds=token_lifetime_s + CLOCK_DIFFERENCE_S)

    async def read(connection: Connection) -> tuple[str, list[Entry]]:
        if after is None:
            return await revocations.read_since(connection, events.REVOCATIONS, since, REVOCATIONS_MAX)
        return await revocations.read_after(connection, events.REVOCATIONS, after, REVOCATIONS_MAX)

    try:
        cursor, entries = await database.read(read)
    except asyncpg.DataError as error:
        raise Invalid("after: this is no cursor of revocations.") from error
    # An entry that was left out can have been written so much later than those after it.
    is_cut = len(entries) == REVOCATIONS_MAX
    issued_before = min(entry.time for entry in entries) + TRANSACTION_MAX if is_cut else None
    return Revocations(items=[_revocation(entry) for entry in entries], cursor=cursor, issued_before=issued_before)


def _revocation(entry: Entry) -> Revocation:
    if entry.type == events.SESSION_REVOKED:
        ended = msgspec.json.decode(entry.data, type=SessionRevokedData)
        return Revocation(session_id=str(ended.session_id))
    # What both kinds of change say of an account: who, and as of which version.
    return msgspec.json.decode(entry.data, type=Revocation)
